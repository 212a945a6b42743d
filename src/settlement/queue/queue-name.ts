export const queueName = 'settle';

/** BullMQ's keys share one slot, and the namespace keeps engines on one server apart. */
export function queuePrefix(namespace: string): string {
  return `{${namespace}}`;
}
