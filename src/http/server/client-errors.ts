import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { isImporting } from '../import/importing.ts';
import { invalid, Problem, problems, problemText, problemType } from '../problems/problems.ts';
import { answerHeaders } from './answer-headers.ts';

/** Answers requests that Node's parser rejects: too slow, headers too large, or not HTTP. */
export function onClientError(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  // It waits for its first request, as between two: the server closes it when it has been idle.
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && socket.bytesRead === 0) return;
  // An import may take longer than Node's request time-out.
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && isImporting(socket)) return;
  const problem = clientErrors[error.code ?? ''] ?? invalid('request', 'is not valid HTTP');
  const body = problemText(problem.code, problem.members);
  const { status } = problems[problem.code];
  if (socket.writable) {
    socket.write(
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: ${problemType}\r\n${headers}` +
        `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
    );
  }
  socket.destroySoon();
}

const headers = Object.entries(answerHeaders)
  .map(([name, value]) => `${name}: ${value}\r\n`)
  .join('');

const clientErrors: Record<string, Problem> = {
  ERR_HTTP_REQUEST_TIMEOUT: new Problem('request_timeout'),
  HPE_HEADER_OVERFLOW: new Problem('headers_too_large'),
};
