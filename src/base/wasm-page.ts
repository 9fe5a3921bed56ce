// WebAssembly counts memory in pages (WebAssembly 2.0, section 4.2.8).

export const WASM_PAGE_BYTES = 65_536;
