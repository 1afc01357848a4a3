"""``medconsist ts``: simulate, prepare, audit, pretrain, evaluate."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import subcommand

from medconsist.cli.timeseries_judge import Audit, Evaluate
from medconsist.cli.timeseries_prepare import Prepare
from medconsist.cli.timeseries_simulate import Simulate
from medconsist.cli.timeseries_train import Pretrain

__all__ = ["Ts"]


@dataclass(frozen=True)
class Ts:
    """Biosignals: simulate, prepare, audit, pretrain, evaluate."""

    verb: (
        Annotated[Simulate, subcommand("simulate", prefix_name=False)]
        | Annotated[Prepare, subcommand("prepare", prefix_name=False)]
        | Annotated[Audit, subcommand("audit", prefix_name=False)]
        | Annotated[Pretrain, subcommand("pretrain", prefix_name=False)]
        | Annotated[Evaluate, subcommand("evaluate", prefix_name=False)]
    )

    def run(self) -> int:
        """Run the verb."""
        return self.verb.run()
