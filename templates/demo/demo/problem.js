// What went wrong, with a code and the way out: the page shows it as it shows the runtime's own errors.

/** An error that the reader of the page can do something about. */
export class Problem extends Error {
  /**
   * @param {string} code
   * @param {string} message
   * @param {HTMLElement} [field] the control that it is about
   */
  constructor(code, message, field) {
    super(message);
    this.field = field;
    this.name = 'Problem';
    this.code = code;
  }
}

/**
 * Run a handler's work; what it throws goes to `document` as an event, and the page shows it.
 * @param {() => void | Promise<void>} work
 */
export async function reporting(work) {
  try {
    await work();
  } catch (error) {
    document.dispatchEvent(new CustomEvent('problem', { detail: error }));
  }
}
