/** One promise held against one reading. */
export type Check = {
  promise: number;
  title: string;
  figures: Record<string, number>;
  /** What differs; motion can explain it, so it counts when it is still there later. */
  findings: string[];
  /** What was wrong at one instant: nothing explains it. */
  lasting: string[];
};
