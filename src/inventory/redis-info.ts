import type { Redis } from 'ioredis';

/** The fields of some sections of INFO. */
export async function readInfo(
  redis: Redis,
  ...sections: readonly string[]
): Promise<ReadonlyMap<string, string>> {
  const texts = await Promise.all(sections.map((section) => redis.info(section)));
  const rows = texts
    .join('')
    .split('\r\n')
    .map((row) => row.split(':', 2));
  return new Map(
    rows.flatMap(([name, value]) => (name && value !== undefined ? [[name, value]] : [])),
  );
}
