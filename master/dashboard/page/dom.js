/** The few things that the views do with the page's elements. */

/**
 * @template {HTMLElement} Kind
 * @param {string} id
 * @param {new () => Kind} kind
 * @returns {Kind}
 */
export function byId(id, kind) {
  const element = document.getElementById(id);
  if (element instanceof kind) return element;
  throw new Error(`index.html has no ${kind.name} called ${id}`);
}

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {string} className
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className !== '') element.className = className;
  element.append(...children);
  return element;
}

const svgSpace = 'http://www.w3.org/2000/svg';

/**
 * @param {string} tag
 * @param {Readonly<Record<string, string | number>>} attributes
 * @param {...Node} children
 * @returns {SVGElement}
 */
export function makeSvg(tag, attributes, ...children) {
  const element = document.createElementNS(svgSpace, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/**
 * A sign from `index.html`. It says nothing that words beside it don't.
 *
 * @param {string} name
 * @returns {SVGElement}
 */
export function glyph(name) {
  return makeSvg('svg', { class: `glyph ${name}`, 'aria-hidden': 'true' }, makeSvg('use', { href: `#glyph-${name}` }));
}

/**
 * Writes only what differs: an element that is left alone keeps its selection, and costs no layout.
 *
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * @param {Element} element
 * @param {string} name
 * @param {string | null} value Null takes the attribute away.
 */
export function setAttribute(element, name, value) {
  if (element.getAttribute(name) === value) return;
  if (value === null) element.removeAttribute(name);
  else element.setAttribute(name, value);
}

/**
 * Children by key: what stays is kept, what is new is made, what is gone goes, and the order is that of `keys`. An element
 * that has the focus keeps it.
 *
 * @param {Element} parent
 * @param {readonly string[]} keys
 * @param {(key: string) => Element} create
 */
export function keep(parent, keys, create) {
  /** @type {Map<string, Element>} */
  const present = new Map();
  for (const child of parent.children) present.set(child.getAttribute('data-key') ?? '', child);
  const wanted = new Set(keys);
  for (const [key, child] of present) if (!wanted.has(key)) child.remove();
  let place = parent.firstElementChild;
  for (const key of keys) {
    let child = present.get(key);
    if (child === undefined) {
      child = create(key);
      child.setAttribute('data-key', key);
    }
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
  }
}
