/**
 * The engine cannot start, for a reason that the operator can act on. The message is the one line that
 * is printed: what is wrong and what to do. Anything else thrown during the start is a bug.
 */
export class StartError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StartError';
  }
}
