/** Asks for a token, and keeps it for this tab: closing the tab forgets it. */
import { byId, setText } from './dom.js';

const key = 'lockstep-token';

/** @returns {string | null} */
export function storedToken() {
  return sessionStorage.getItem(key);
}

export class TokenView {
  #form = byId('token-form', HTMLFormElement);
  #input = byId('token', HTMLInputElement);
  #problem = byId('token-problem', HTMLElement);

  /** @param {() => void} onToken There is one to try. */
  constructor(onToken) {
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      sessionStorage.setItem(key, this.#input.value.trim());
      this.#input.value = '';
      onToken();
    });
  }

  /** @param {string} problem Empty when none was tried yet. */
  ask(problem) {
    setText(this.#problem, problem);
    if (!this.#form.hidden) return;
    this.#form.hidden = false;
    this.#input.focus();
  }

  hide() {
    this.#form.hidden = true;
  }
}
