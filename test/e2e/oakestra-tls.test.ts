// The session with the broker over TLS, and a refusal of each kind. All of them: test/long/oakestra-tls.test.ts.
import { describeTls } from "../support/oakestra/tls.ts";

describeTls("first");
