/** `lockstep/activation`: what a host imports to own the copies of a pull cycle. */
export * from './data-server/index.js';
