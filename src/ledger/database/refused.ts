/**
 * Classes of SQLSTATE by which PostgreSQL refuses values and not the moment: the same statement with the
 * same values will fail again (https://www.postgresql.org/docs/current/errcodes-appendix.html).
 */
const classes = [
  '21', // a row twice in one statement
  '22', // text, number or JSON that a type cannot hold
  '23', // a constraint
  '54', // a value too large for an index or a row
  'P0', // raised by a trigger
];

/** Whether the ledger refused the values of a statement, as against not answering. */
export function isRefusedBySql(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string')
    return false;
  return error.code.length === 5 && classes.includes(error.code.slice(0, 2));
}
