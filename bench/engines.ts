// `npm run bench -- engines OTHER ...`: packets of known flows in the engine of this build and in others. OTHER is a
// module with the layout of this build, or the folder of another checkout, built, which may have another layout.
import { Command } from "commander";
import { type Build, buildAt, compareBuilds, THIS_BUILD } from "./contenders.ts";
import { renderRatios } from "./ratios.ts";
import { wholeNumber } from "./whole-number.ts";

const command = new Command("bench engines")
  .description("Measures packets of known flows in this build's engine and in others.")
  .argument("<others...>", "engine modules with the layout of this build, or folders of other checkouts that are built")
  .option("--rounds <n>", "turns of each", wholeNumber, 500)
  .parse();
const { rounds } = command.opts<{ readonly rounds: number }>();

const builds: Build[] = [THIS_BUILD];
for (const other of command.args) builds.push(await buildAt(other, command));
const names = builds.map(({ name }) => name);
process.stdout.write(renderRatios(names, await compareBuilds(builds, rounds), rounds));
