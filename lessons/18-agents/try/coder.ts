/** The self-healing coder: real tests, real files, recorded replies. */
import { show } from "../stage.ts";

await show("examples/coder/coder.yaml", "heal");
