/**
 * The engine cannot start, for a reason that whoever started it can act on. The message is the one
 * line they see: what is wrong and what to do. Anything else thrown during the start is a bug.
 */
export class StartError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StartError';
  }
}
