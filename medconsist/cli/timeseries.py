"""``medconsist ts``: the verbs of signals."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import subcommand

from medconsist.cli.timeseries_judge import Audit, Evaluate, Split
from medconsist.cli.timeseries_learn import Finetune, Probe
from medconsist.cli.timeseries_plot import Plot
from medconsist.cli.timeseries_predict import Predict
from medconsist.cli.timeseries_prepare import Prepare
from medconsist.cli.timeseries_simulate import Simulate
from medconsist.cli.timeseries_train import Pretrain

__all__ = ["Ts"]


@dataclass(frozen=True)
class Ts:
    """Signals: simulate, plot, prepare, split, audit; pretrain to predict."""

    verb: (
        Annotated[Simulate, subcommand("simulate", prefix_name=False)]
        | Annotated[Plot, subcommand("plot", prefix_name=False)]
        | Annotated[Prepare, subcommand("prepare", prefix_name=False)]
        | Annotated[Split, subcommand("split", prefix_name=False)]
        | Annotated[Audit, subcommand("audit", prefix_name=False)]
        | Annotated[Pretrain, subcommand("pretrain", prefix_name=False)]
        | Annotated[Probe, subcommand("probe", prefix_name=False)]
        | Annotated[Finetune, subcommand("finetune", prefix_name=False)]
        | Annotated[Evaluate, subcommand("evaluate", prefix_name=False)]
        | Annotated[Predict, subcommand("predict", prefix_name=False)]
    )

    def run(self) -> int:
        """Run the verb."""
        return self.verb.run()
