/** What a stream sends: an event, or how long to wait before opening it again. */
export type StreamEvent = { id: string; data: string } | { retryMs: number };

/** Reads server-sent events until their end, or until the connection is cut. */
export async function* eventsOf(
  body: ReadableStream<Uint8Array>,
  onBytes: () => void,
): AsyncGenerator<StreamEvent, void> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read().catch(() => ({ done: true, value: undefined }));
    if (done) return;
    onBytes();
    text += decoder.decode(value, { stream: true });
    const blocks = text.split(/\r?\n\r?\n/);
    text = blocks.pop() ?? '';
    for (const block of blocks) yield* eventsIn(block);
  }
}

function* eventsIn(block: string): Generator<StreamEvent, void> {
  const fields = new Map<string, string>();
  for (const line of block.split(/\r?\n/)) {
    const [, name = '', content = ''] = /^([^:]+):? ?(.*)$/.exec(line) ?? [];
    const before = name === 'data' ? fields.get(name) : undefined;
    fields.set(name, before === undefined ? content : `${before}\n${content}`);
  }
  const retryMs = Number(fields.get('retry') || Number.NaN);
  if (retryMs >= 0) yield { retryMs };
  const data = fields.get('data');
  if (data !== undefined) yield { id: fields.get('id') ?? '', data };
}
