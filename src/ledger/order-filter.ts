import type { DropId } from '../domain/ids.ts';
import type { OrderState } from '../domain/order.ts';

/** Which orders of a drop are wanted; those that meet all that is given. */
export type OrderFilter = {
  /** The id of an order, a payment's reference, a buyer, or a text of an order's metadata; whole and exact. */
  q?: string | undefined;
  state?: OrderState | undefined;
  /** Position of the item in the drop. */
  item?: number | undefined;
  method?: string | undefined;
  /** Reserved at this time or later, ms since the epoch. */
  since?: number | undefined;
  /** Reserved before this time, ms since the epoch. */
  until?: number | undefined;
};

/**
 * Whether a filter may have to read all orders of its drop for one page: no index has its order, or the
 * orders that it wants are few.
 */
export function isSearch({ q, state, item, method }: OrderFilter): boolean {
  return [q, state, item, method].some((wanted) => wanted !== undefined);
}

/** The condition of a filter in SQL on `orders o`, and its parameters; `first` is the number of the first. */
export function conditionOf(
  drop: DropId,
  { q, state, item, method, since, until }: OrderFilter,
  first: number,
): { sql: string; params: unknown[] } {
  const params: unknown[] = [];
  const conditions: string[] = [];
  const add = (value: unknown, condition: (place: string) => string) => {
    if (value === undefined) return;
    params.push(value);
    conditions.push(condition(`$${first + params.length - 1}`));
  };
  add(drop, (place) => `o.drop_id = ${place}`);
  add(state, (place) => `o.state = ${place}`);
  add(item, (place) => `o.item = ${place}`);
  add(method, (place) => `o.method = ${place}`);
  add(since, (place) => `o.reserved_at >= ${place}`);
  add(until, (place) => `o.reserved_at < ${place}`);
  // A union, so that each part uses its own index. Numbers of metadata may be equal by chance: the text
  // is compared, too.
  add(
    q,
    (place) => `o.id in (
      select id from orders where id = ${place}
      union select order_id from payments where reference = ${place}
      union select id from orders where buyer = ${place} and drop_id = $${first}
      union select id from orders where json_typeof(details -> 'metadata') = 'object'
        and metadata_keys(drop_id, details) @> array[hashtextextended($${first} || ' ' || ${place}, 0)]
        and drop_id = $${first}
        and exists (select from json_each_text(details -> 'metadata') where value = ${place}))`,
  );
  return { sql: conditions.join(' and '), params };
}
