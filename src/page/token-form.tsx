// Asks for the node's token. It stays in this tab, and is sent in a header alone.

import { useState } from "preact/hooks";

interface TokenFormProps {
  readonly problem: string;
  readonly onToken: (token: string) => void;
}

export function TokenForm({ problem, onToken }: TokenFormProps) {
  const [token, setToken] = useState("");
  const give = (event: Event): void => {
    event.preventDefault();
    if (token.trim() !== "") onToken(token.trim());
  };
  return (
    <form class="card token" onSubmit={give}>
      <h2>This node asks for its token</h2>
      <p>It is the line in the file that the configuration names as observe.token.</p>
      <label for="token">Token</label>
      <input
        id="token"
        type="password"
        autocomplete="off"
        spellcheck={false}
        value={token}
        aria-invalid={problem !== ""}
        aria-describedby="token-problem"
        onInput={(event) => setToken(event.currentTarget.value)}
      />
      <p id="token-problem" class="problem" role="alert">
        {problem}
      </p>
      <button type="submit">Look</button>
    </form>
  );
}
