// Orders to the proxy, by the routes of its control socket. Each answers with a sentence for the person who gave it.

export interface Outcome {
  readonly isDone: boolean;
  readonly text: string;
}

export interface Drain {
  readonly node?: string;
  readonly service?: string;
  readonly instance?: number;
  readonly draining: boolean;
}

export class Orders {
  readonly #token: string;

  constructor(token: string) {
    this.#token = token;
  }

  loadPolicy(name: string, file: File): Promise<Outcome> {
    const search = new URLSearchParams({ source: `live page: ${file.name}` });
    const path = `/v1/policies/${encodeURIComponent(name)}?${search}`;
    return this.#give("PUT", path, file, `The policy ${name} is ${file.name} now.`);
  }

  rollBackPolicy(name: string): Promise<Outcome> {
    const path = `/v1/policies/${encodeURIComponent(name)}/rollback`;
    return this.#give("POST", path, undefined, `The policy ${name} is the one before again.`);
  }

  drain(order: Drain): Promise<Outcome> {
    const what = order.node ?? `${order.service} ${order.instance}`;
    const done = order.draining ? `${what} takes no new flows.` : `${what} takes new flows again.`;
    return this.#give("POST", "/v1/drain", JSON.stringify(order), done);
  }

  async #give(method: string, path: string, body: BodyInit | undefined, done: string): Promise<Outcome> {
    try {
      const headers = { authorization: `Bearer ${this.#token}`, "content-type": "application/octet-stream" };
      const response = await fetch(path, { method, headers, body: body ?? null });
      return response.ok ? { isDone: true, text: done } : { isDone: false, text: await problemOf(response) };
    } catch {
      return { isDone: false, text: "The proxy does not answer; whether the order was carried out is not known." };
    }
  }
}

/** Errors of the control socket are JSON, those of the listener text. */
async function problemOf(response: Response): Promise<string> {
  const text = await response.text();
  try {
    const { error } = JSON.parse(text) as { error: { message: string } };
    return error.message;
  } catch {
    return text.trim();
  }
}
