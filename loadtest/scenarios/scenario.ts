import type { RealSale } from '../record/record.ts';
import type { Parameters } from '../workload/parameters.ts';

/** A sale to replay. The real sale's figures are from the press; the crowd's curves are assumptions. */
export type Scenario = {
  name: string;
  title: string;
  story: string;
  real?: RealSale;
  parameters: Partial<Parameters>;
};
