import type { ProblemEntry } from './problem-entry.ts';

/** The refusals that are about a drop's appointments. */
export const appointmentProblems = {
  appointments_not_offered: {
    status: 409,
    title: 'The drop needs no appointment',
    detail: 'Anybody can buy when the drop is open.',
  },
  appointments_not_open: {
    status: 409,
    title: 'Appointments are not open yet',
    detail: 'Try again between `from` and `until`.',
    retry: true,
  },
  appointments_closed: {
    status: 409,
    title: 'Appointments are closed',
    detail:
      'The window ended at `until`, or the drop is over. Only buyers with an appointment can buy.',
  },
} as const satisfies Record<string, ProblemEntry>;
