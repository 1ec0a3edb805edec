import { drives } from './crash-drives.js';
import { killAtEachPoint } from './crash-suite.js';

killAtEachPoint('master', drives.master);
