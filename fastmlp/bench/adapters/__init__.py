"""One adapter per library that the benchmark times, and the contract that they fulfil."""

from fastmlp.bench.adapters.contract import Adapter as Adapter
from fastmlp.bench.adapters.contract import Ensembler as Ensembler
from fastmlp.bench.adapters.contract import Fitter as Fitter
from fastmlp.bench.adapters.contract import Learner as Learner
from fastmlp.bench.adapters.contract import Predictor as Predictor
from fastmlp.bench.adapters.contract import Trained as Trained
from fastmlp.bench.adapters.job import Data as Data
from fastmlp.bench.adapters.job import Job as Job
