// The session with the broker over TLS, and all that must be refused. Some of it: test/e2e/oakestra-tls.test.ts.
import { describeTls } from "../support/oakestra/tls.ts";

describeTls("all");
