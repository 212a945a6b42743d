import type { BuyerId, DropId } from '../../domain/ids.ts';
import type { ReleaseReason } from '../../domain/order.ts';
import { required } from '../../domain/required.ts';
import type { Database } from '../database/database.ts';

/** Orders that ended unpaid, by how. */
type LapseCounts = { expired: number; cancelled: number; declined: number };

/** The orders of a drop that ended unpaid, in all and of the buyers who have most of them. */
export type Lapses = LapseCounts & { buyers: (LapseCounts & { buyer: BuyerId })[] };

const buyersMax = 20;
const reasons: ReleaseReason[] = ['expired', 'cancelled', 'declined', 'insufficient_funds'];
const columns = `count(*) filter (where reason = 'expired') as expired,
  count(*) filter (where reason = 'cancelled') as cancelled,
  count(*) filter (where reason in ('declined', 'insufficient_funds')) as declined`;

export async function readLapses(database: Database, drop: DropId): Promise<Lapses> {
  const where = "where drop_id = $1 and state = 'released' and reason = any($2::text[])";
  const [all] = await database.query<LapseCounts>(`select ${columns} from orders ${where}`, [
    drop,
    reasons,
  ]);
  const buyers = await database.query<Lapses['buyers'][number]>(
    `select buyer, ${columns} from orders ${where}
     group by buyer order by count(*) desc, buyer collate "C" limit ${buyersMax}`,
    [drop, reasons],
  );
  return { ...required(all, 'row of sums'), buyers };
}
