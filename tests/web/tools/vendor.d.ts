// What the page uses of the packages that web/install.py copies to /vendor/.
export const tokenize: any;
export const generate: any;
export const correction: any;
export const toSvg: any;
export const parser: any;
export const parser_write: any;
export const parser_end: any;
export const default_renderer: any;
