import { connect, type Socket } from 'node:net';

/** An answer. `body` holds one character for each byte. */
export type WireAnswer = {
  status: number;
  /** Seconds of Retry-After, when it was sent. */
  retryAfter: number | undefined;
  replayed: boolean;
  body: string;
};

export type Wire = {
  /**
   * Sends a request given as text, head and body. `onAnswer` is called with undefined when no answer
   * came: connection refused or lost, timeout, or bytes that are not HTTP.
   */
  send(request: string, onAnswer: (answer: WireAnswer | undefined) => void): void;
  /** Requests that wait for a free connection. */
  waiting(): number;
  /** Breaks every connection, as if all clients went away at once; the next request opens new ones. */
  breakOff(): void;
  /** Ends every connection; pending requests are answered with undefined at once. */
  close(): void;
};

type Asked = { request: string; onAnswer: (answer: WireAnswer | undefined) => void };
type Line = { socket: Socket; asked: Asked | undefined; deadline: number; text: string };

const lookMs = 100;

/**
 * A minimal HTTP/1.1 client: many keep-alive connections, one request at a time on each. The crowd
 * shares the machine with the engine, so a request must cost only a few microseconds here; only what
 * this engine answers is parsed: a Content-Length or no body.
 */
export function openWire(options: {
  host: string;
  port: number;
  connectionsMax: number;
  timeoutMs: number;
}): Wire {
  const { host, port, connectionsMax, timeoutMs } = options;
  const lines = new Set<Line>();
  const idle: Line[] = [];
  let queue: Asked[] = [];
  let head = 0;

  function open(asked: Asked): void {
    const socket = connect({ host, port, noDelay: true });
    socket.setEncoding('latin1');
    const line: Line = { socket, asked: undefined, deadline: 0, text: '' };
    lines.add(line);
    socket.on('data', (text: string) => hear(line, text));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => drop(line));
    ask(line, asked);
  }

  function ask(line: Line, asked: Asked): void {
    line.asked = asked;
    line.deadline = performance.now() + timeoutMs;
    line.socket.write(asked.request, 'latin1');
  }

  function hear(line: Line, text: string): void {
    line.text = line.text === '' ? text : line.text + text;
    const read = readAnswer(line.text);
    if (read === undefined) return;
    const { asked } = line;
    line.text = '';
    line.asked = undefined;
    if (read === 'broken' || !asked) {
      line.asked = asked;
      line.socket.destroy();
      return;
    }
    if (read.last) line.socket.destroy();
    else next(line);
    asked.onAnswer(read.answer);
  }

  function next(line: Line): void {
    const asked = take();
    if (asked) ask(line, asked);
    else idle.push(line);
  }

  function take(): Asked | undefined {
    const asked = queue[head];
    if (!asked) return undefined;
    head += 1;
    if (head > 1_024 && head * 2 > queue.length) {
      queue = queue.slice(head);
      head = 0;
    }
    return asked;
  }

  function drop(line: Line): void {
    if (!lines.delete(line)) return;
    const at = idle.indexOf(line);
    if (at >= 0) idle.splice(at, 1);
    const { asked } = line;
    line.asked = undefined;
    const waiting = take();
    if (waiting) open(waiting);
    asked?.onAnswer(undefined);
  }

  const timer = setInterval(() => {
    const now = performance.now();
    for (const line of lines) if (line.asked && line.deadline < now) line.socket.destroy();
  }, lookMs);

  return {
    send(request, onAnswer) {
      const asked = { request, onAnswer };
      const line = idle.pop();
      if (line) ask(line, asked);
      else if (lines.size < connectionsMax) open(asked);
      else queue.push(asked);
    },
    waiting: () => queue.length - head,
    breakOff() {
      for (const line of lines) line.socket.destroy();
    },
    close() {
      clearInterval(timer);
      queue = [];
      head = 0;
      for (const line of lines) {
        const { asked } = line;
        line.asked = undefined;
        line.socket.destroy();
        asked?.onAnswer(undefined);
      }
    },
  };
}

/** Parses an answer; undefined while bytes are missing. `last` when the connection is to close. */
function readAnswer(text: string): { answer: WireAnswer; last: boolean } | 'broken' | undefined {
  const headEnd = text.indexOf('\r\n\r\n');
  if (headEnd < 0) return undefined;
  const status = Number(text.slice(9, 12));
  if (!text.startsWith('HTTP/1.1 ') || !(status >= 200)) return 'broken';
  const start = text.slice(0, headEnd).toLowerCase();
  const length = numberAfter(start, '\r\ncontent-length:');
  if (length === undefined && status !== 204 && status !== 304) return 'broken';
  const bodyStart = headEnd + 4;
  const bodyEnd = bodyStart + (length ?? 0);
  if (text.length < bodyEnd) return undefined;
  const answer: WireAnswer = {
    status,
    retryAfter: numberAfter(start, '\r\nretry-after:'),
    replayed: start.includes('\r\nidempotency-replayed: true'),
    body: text.slice(bodyStart, bodyEnd),
  };
  return { answer, last: start.includes('\r\nconnection: close') };
}

function numberAfter(head: string, name: string): number | undefined {
  const at = head.indexOf(name);
  return at < 0 ? undefined : Number.parseInt(head.slice(at + name.length), 10);
}
