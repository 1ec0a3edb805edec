/** `lockstep/activation`: what a host imports to own the copies of a pull cycle, or to follow one. */
export * from './copy/index.js';
export * from './data-server/index.js';
