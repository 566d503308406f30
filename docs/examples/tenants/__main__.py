"""One model for many tenants: each request uses its tenant's key, region and workspace."""

import argparse
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

from pydantic import SecretStr

from docs.examples.service import service
from langchain_dashscope_deepseek import ChatDashScopeDeepSeek
from langchain_dashscope_deepseek.testing import DashScopeEmulator

NAMES = ("acme", "globex", "initech")
KEPT = 100  # models in the cache


@dataclass(frozen=True)
class Account:
    """The account of a tenant."""

    key: SecretStr
    region: str | None = None  # None: the region of the shared model
    workspace_id: str | None = None


class Accounts:
    """A dict, in place of your secret store."""

    def __init__(self, accounts: dict[str, Account]) -> None:
        """Store the accounts."""
        self.of = accounts

    def key_of(self, tenant: str) -> Callable[[], SecretStr]:
        """Return a function that reads the current key for each request."""
        return lambda: self.of[tenant].key


def find_models(
    model: ChatDashScopeDeepSeek, accounts: Accounts, base_url: str | None
) -> Callable[[str], ChatDashScopeDeepSeek]:
    """Return a function that finds a tenant's model, or makes it.

    The cache keeps the models of recent tenants, so they are not created for each call. Connections
    belong to the process's pool.

    Args:
        model: The settings that all tenants share.
        accounts: The accounts of the tenants.
        base_url: The emulator's, or `None` for the environment's or the region's.
    """

    @lru_cache(maxsize=KEPT)
    def model_of(tenant: str) -> ChatDashScopeDeepSeek:
        account = accounts.of[tenant]
        return model.for_tenant(
            api_key=accounts.key_of(tenant),
            region=account.region,
            workspace_id=account.workspace_id,
            base_url=base_url,
        )

    return model_of


def main() -> None:
    """Ask for three tenants concurrently, change a key, and ask for that tenant again."""
    parser = argparse.ArgumentParser(prog="tenants", description=__doc__)
    parser.add_argument("--model", default="deepseek-v4.1-flash")
    arguments = parser.parse_args()

    emulators: list[DashScopeEmulator] = []
    with service(emulators.append) as settings:
        accounts = Accounts(made_up_accounts() if settings else accounts_of_environment())
        model = ChatDashScopeDeepSeek(
            model=arguments.model, enable_thinking=False, max_tokens=200, **settings
        )
        model_of = find_models(model, accounts, settings.get("base_url"))

        def ask(tenant: str) -> str:
            return model_of(tenant).invoke(f"Greet {tenant} in one sentence.").text

        with ThreadPoolExecutor(len(NAMES)) as pool:
            for tenant, text in zip(NAMES, pool.map(ask, NAMES), strict=True):
                print(f"{tenant}: {text}")

        before = model_of("acme")
        if emulators:  # a key of the service is changed in its console
            accounts.of["acme"] = Account(SecretStr("sk-acme-new"), workspace_id="ws-acme")
        print(f"\nacme, with its current key: {ask('acme')}")
        print(f"The same model as before: {model_of('acme') is before}")

        for emulator in emulators:
            show_requests(emulator)
        for tenant in NAMES:
            model_of(tenant).close()


def accounts_of_environment() -> dict[str, Account]:
    """Read DASHSCOPE_API_KEY_ACME and the like; a tenant without one gets DASHSCOPE_API_KEY."""
    ours = os.environ["DASHSCOPE_API_KEY"]
    return {
        name: Account(
            SecretStr(os.environ.get(f"DASHSCOPE_API_KEY_{name.upper()}", ours)),
            os.environ.get(f"DASHSCOPE_REGION_{name.upper()}"),
            os.environ.get(f"DASHSCOPE_WORKSPACE_ID_{name.upper()}"),
        )
        for name in NAMES
    }


def made_up_accounts() -> dict[str, Account]:
    """Make up an account for each tenant; the emulator accepts any key that begins with sk-."""
    return {name: Account(SecretStr(f"sk-{name}"), workspace_id=f"ws-{name}") for name in NAMES}


def show_requests(emulator: DashScopeEmulator) -> None:
    """Print the key and the workspace of each request that the emulator received."""
    print("\nRequests that the emulator received:")
    for request in emulator.requests:
        text = str(request.body["input"]["messages"])
        tenant = next(name for name in NAMES if f"Greet {name}" in text)
        key, place = request.headers["authorization"], request.headers["x-dashscope-workspace"]
        print(f"  for {tenant}: {key}, workspace {place}")


if __name__ == "__main__":
    main()
