import { z } from 'zod';
import { plainText } from './fields.ts';

const nameLengthMax = 200;

export const merchantBody = z.strictObject({ name: plainText(nameLengthMax) });
export const createdMerchantBody = z.object({
  id: z.string(),
  name: z.string(),
  apiKey: z.string(),
});

export const keyRequestBody = z.strictObject({ merchant: z.string().min(1).max(64) });
export const issuedKeyBody = z.object({ apiKey: z.string() });

export const revocationBody = z.strictObject({ apiKey: z.string().min(1).max(200) });
export const revokedBody = z.object({
  revoked: z.boolean().meta({ description: 'False for a key that is unknown or revoked already.' }),
});
