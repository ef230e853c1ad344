// The page of a site that `edgedense web` made.

import { createEngine } from "./engine/client";
import { start } from "./page/page";

void start(createEngine);
