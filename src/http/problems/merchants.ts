import type { ProblemEntry } from './problem-entry.ts';

/** The refusals that merchants alone can get. */
export const merchantProblems = {
  drop_action_refused: {
    status: 409,
    title: "The drop's state does not allow this",
    detail: 'The action does not apply to a drop whose state is `state`.',
  },
  drop_not_editable: {
    status: 409,
    title: 'The drop can no longer be edited',
    detail:
      'A drop can be edited until it opens; this one is `state`. Nothing was changed. Duplicate it to sell something else.',
  },
  stock_adjusted: {
    status: 409,
    title: 'The stock of this drop was adjusted',
    detail:
      'After an adjustment, items cannot be added and allotments not be edited. Nothing was changed. Change units with POST /v1/drops/:drop/items/:sku/adjustments.',
  },
  stock_taken: {
    status: 409,
    title: 'Fewer units are available than you want to remove',
    detail: 'Remove at most `available` units. Units that are held or sold cannot be removed.',
  },
  allotment_over: {
    status: 409,
    title: 'The allotment would exceed 10,000,000 units',
    detail: 'Add fewer units: the allotment is `allotment` now.',
  },
  order_not_paid: {
    status: 409,
    title: 'The order is not paid',
    detail: 'Only a paid order can be refunded. This order is `state`.',
  },
  refund_exceeds: {
    status: 409,
    title: 'The refund is more than what is left',
    detail: 'Refund at most `refundable`. The rest has been refunded, or its refund is pending.',
  },
  drop_changed: {
    status: 412,
    title: 'The drop was changed since you read it',
    detail:
      'Nothing was changed. Read the drop again: its revision is `revision`. Then send your edit with that in If-Match.',
  },
  import_broken_off: {
    status: 503,
    title: 'The import was interrupted',
    detail:
      'The first `lines` lines were imported, later ones may have been. Send the whole list again: buyers who have an appointment keep it.',
    retry: true,
  },
} as const satisfies Record<string, ProblemEntry>;
