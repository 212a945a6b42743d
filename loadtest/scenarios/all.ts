import { hongmiQzone2013 } from './hongmi-qzone-2013.ts';
import { mi2Weibo2012 } from './mi2-weibo-2012.ts';
import { mi3Wechat2013 } from './mi3-wechat-2013.ts';
import { office } from './office.ts';
import { redmi1sIndia2014 } from './redmi1s-india-2014.ts';
import type { Scenario } from './scenario.ts';
import { soldOutStorm } from './sold-out-storm.ts';
import { steady } from './steady.ts';
import { waves } from './waves.ts';

export const scenarios: readonly Scenario[] = [
  mi2Weibo2012,
  hongmiQzone2013,
  mi3Wechat2013,
  redmi1sIndia2014,
  steady,
  soldOutStorm,
  waves,
  office,
];
