// How long a test waits before it fails, all in one place. A test that passes waits out none of
// these: they are for a machine that is slow, or busy with several times its load.

/** For a condition to come true, such as an order to be paid. */
export const conditionMs = 60_000;

/** For a program to start and to say so. */
export const startMs = 120_000;

/** For one test, and for one hook that sets up or tears down a file. */
export const testMs = 240_000;

/** For a test that runs a whole sale with load, or starts several engines one after the other. */
export const saleMs = 480_000;
