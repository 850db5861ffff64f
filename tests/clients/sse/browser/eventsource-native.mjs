import { show, url } from "./show.mjs";

show(new EventSource(url));
