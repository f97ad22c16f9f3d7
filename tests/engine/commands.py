"""The commands that change state: how each is tried, killed and taken back."""

from __future__ import annotations

from dataclasses import dataclass

from paas.model.cron import CronTask

COMMAND = "true"
ADDED, STANDING = (CronTask(COMMAND, schedule).id for schedule in ("@daily", "@weekly"))


@dataclass(frozen=True)
class Case:
    """A command, what takes it back, what each reads, and every how many effects it is killed."""

    line: str
    back: str
    input: str = ""
    every: int = 1
    back_input: str = ""
    behind: bool = False
    """Whether it begins where what takes it back has led: what it removes is there."""

    @property
    def name(self) -> str:
        """Of the command."""
        return self.line.partition(" ")[0]


def both(line: str, back: str, every: int = 1) -> tuple[Case, Case]:
    """Two commands that take each other back, each of them killed."""
    return Case(line, back, every=every), Case(back, line, every=every, behind=True)


CASES = (
    Case("apps:create fresh", "apps:destroy fresh --force"),
    *both("apps:lock shop --reason busy", "apps:unlock shop"),
    *both("config:set shop --no-restart A=1 B=2", "config:unset shop --no-restart A B"),
    *both("config:set --global --no-restart A=1 B=2", "config:clear --global --no-restart"),
    Case("config:import shop --no-restart -", "config:unset shop --no-restart X Y", "X=1\nY=2\n"),
    Case("ps:set shop stop-timeout-seconds 5", "ps:set shop stop-timeout-seconds"),
    Case("checks:set shop boot-seconds 9", "checks:set shop boot-seconds"),
    *both("checks:disable shop", "checks:enable shop"),
    Case("checks:skip shop", "checks:enable shop"),
    *both(
        "resource:limit --no-restart --memory 64m shop", "resource:limit-clear --no-restart shop"
    ),
    *both(
        "resource:reserve --no-restart --memory 9m shop", "resource:reserve-clear --no-restart shop"
    ),
    Case("logs:set shop retain-count 7", "logs:set shop retain-count"),
    Case("events:set retain-count 7", "events:set retain-count"),
    Case("releases:retain shop 9", "releases:retain shop 10"),
    Case("git:set shop deploy-branch trunk", "git:set shop deploy-branch"),
    Case("builder:set shop build-dir sub", "builder:set shop build-dir"),
    Case("builder:set shop build-arg A=1", "builder:set shop build-arg A"),
    *both("buildpacks:add shop static", "buildpacks:remove shop static"),
    *both("buildpacks:set shop node", "buildpacks:clear shop"),
    Case("stack:set shop debian-12", "stack:set shop debian-13"),
    *both("domains:add shop a.example b.example", "domains:remove shop a.example b.example", 40),
    *both("domains:set shop only.example", "domains:reset shop", 60),
    Case("domains:clear shop", "domains:reset shop", every=60),
    *both("domains:add-global more.test", "domains:remove-global more.test", 60),
    *both("domains:set-global kill.test more.test", "domains:set-global kill.test", 60),
    Case("domains:clear-global", "domains:set-global kill.test", every=60),
    *both(
        "redirects:add shop old.example https://new.example",
        "redirects:remove shop old.example",
        25,
    ),
    *both("ports:add shop http:{port}:5000", "ports:remove shop http:{port}:5000", 25),
    *both("ports:set shop http:{port}:5000", "ports:clear shop", 25),
    Case("proxy:set shop max-body 5m", "proxy:set shop max-body", every=40),
    *both("maintenance:on shop", "maintenance:off shop", 50),
    Case("maintenance:page shop", "maintenance:page shop --remove", "<p>Gone</p>", 50),
    Case("certs:add shop", "certs:remove shop", "PEM", 40),
    Case("certs:remove shop", "certs:add shop", "", 40, "PEM", behind=True),
    Case(
        "certs:set shop --https-redirect off --hsts-seconds 5",
        "certs:set shop --https-redirect on --hsts-seconds 9",
        every=8,
    ),
    Case("letsencrypt:set shop key-type rsa-2048", "letsencrypt:set shop key-type"),
    Case("letsencrypt:set --global eab-key -", "letsencrypt:set --global eab-key", "a" * 40),
    *both("network:create net", "network:destroy net --force"),
    Case(
        "network:set shop attach-post-deploy lan --alias front", "network:set shop initial-network"
    ),
    *both("network:link shop other", "network:unlink shop other", 3),
    *both("storage:create data", "storage:destroy data --force"),
    Case("storage:set box size 5g", "storage:set box size"),
    *both("storage:mount shop box:/data", "storage:unmount shop box:/data"),
    Case("storage:import box --force", "storage:import box --force", "NEW", 1, "OLD"),
    Case("registry:set r.example --mirror m.example", "registry:set r.example --mirror none"),
    Case("ssh-keys:add eve", "ssh-keys:remove eve", "KEY"),
    Case("ssh-keys:remove eve", "ssh-keys:add eve", "", 1, "KEY", behind=True),
    *both("access:add shop ann viewer", "access:remove shop ann"),
    *both("notify:add shop https://hooks.example/a", "notify:remove shop https://hooks.example/a"),
    *both(
        "drains:add shop syslog://logs.example:514", "drains:remove shop syslog://logs.example:514"
    ),
    Case("cron:set shop timezone Europe/Berlin", "cron:set shop timezone"),
    *both(f"cron:add shop @daily {COMMAND}", f"cron:remove shop {ADDED}"),
    *both(f"cron:suspend shop {STANDING}", f"cron:resume shop {STANDING}"),
    *both("images:tag kv:1 kv:2", "images:remove kv:2"),
    *both("plugin:install {plugins}/greeter", "plugin:uninstall greeter --force"),
    *both("plugin:enable headers", "plugin:disable headers", 12),
    Case("plugin:set kv TOKEN=x", "plugin:set kv TOKEN="),
    *both("kv:create fresh --image kv:1", "kv:destroy fresh --force", 25),
    *both("kv:stop db", "kv:start db", 25),
    Case("kv:pause db", "kv:start db", every=25),
    Case("kv:set db memory 32m", "kv:set db memory"),
    *both("kv:link --no-restart db shop", "kv:unlink --no-restart db shop", 2),
    *both("kv:expose db", "kv:unexpose db", 25),
    Case("kv:clone db twin", "kv:destroy twin --force", every=60),
    Case("kv:backup:auth db key", "kv:backup:auth db", "secret"),
    *both("kv:backup:schedule db @daily", "kv:backup:unschedule db"),
)

SERVICE = "kv"
"""The service that stands for every datastore: their commands are the same."""

READS = "it changes nothing that is ours"
DEPLOYS = (
    "engine/test_deploy_kill.py"
    "::test_a_deploy_killed_at_any_step_is_rolled_back_or_forward_by_the_next_supervisor"
)
CHANGES = "engine/test_operations.py::test_a_change_killed_at_any_step_has_happened_or_not"
ACTS = "engine/test_containers_kill.py::test_an_act_killed_at_any_step_can_be_done_again"
MADE = "engine/test_containers_kill.py::test_a_creation_killed_at_any_step_leaves_nothing"
ONE_OFF = "engine/test_containers_kill.py::test_a_one_off_killed_at_any_step_leaves_nothing"
CRON = "engine/test_cron.py::test_a_run_killed_at_any_step_of_its_begin_is_begun_once_or_lost"
FETCHED = "engine/test_images_kill.py::test_a_pull_killed_at_any_step_is_done_by_the_next"
FREED = (
    "engine/test_images_kill.py"
    "::test_a_collection_killed_at_any_step_removed_nothing_that_is_needed"
)
AUTHORITY = "unit/deploy/test_letsencrypt.py::test_it_is_on_or_off_whoever_is_killed"
CANDIDATE = "a server beside, made the service in one transaction or thrown away: as kv:clone"

ELSEWHERE = {
    **dict.fromkeys(
        (
            "config:get", "config:show", "config:export", "config:bundle", "notify:list",
            "notify:test", "checks:run", "storage:export", "ssh-keys:list", "images:list",
            "images:save", "images:export", "images:history", "images:inspect", "images:verify",
            "images:push", "registry:list", "df", "doctor", "plugin:list", "plugin:info",
            "plugin:logs", "plugin:new", "enter", "cp", "forward", "kv:list", "kv:exists",
            "kv:info", "kv:report", "kv:links", "kv:certificate", "kv:connect", "kv:enter",
            "kv:logs", "kv:export", "kv:databases", "kv:extensions", "kv:backup:list",
            "containers:list", "containers:inspect", "containers:stats", "containers:top",
            "containers:events", "containers:wait", "containers:logs", "containers:exec",
            "containers:attach", "containers:cp", "containers:diff",
        ),
        READS,
    ),
    **dict.fromkeys(
        (
            "git-receive-pack", "git:from-image", "git:load-image", "git:from-archive",
            "git:sync", "ps:rebuild",
        ),
        DEPLOYS,
    ),
    **dict.fromkeys(("ps:scale", "ps:restart", "ps:start", "rollback"), CHANGES),
    **dict.fromkeys(
        (
            "containers:start", "containers:stop", "containers:restart", "containers:kill",
            "containers:pause", "containers:unpause", "containers:remove",
        ),
        ACTS,
    ),
    **dict.fromkeys(("containers:create", "containers:run"), MADE),
    **dict.fromkeys(("run", "run:detached", "run:stop"), ONE_OFF),
    **dict.fromkeys(("cron:run", "cron:stop"), CRON),
    **dict.fromkeys(("images:pull", "images:load", "images:import"), FETCHED),
    **dict.fromkeys(("images:prune", "gc"), FREED),
    **dict.fromkeys(("letsencrypt:enable", "letsencrypt:disable", "letsencrypt:revoke"), AUTHORITY),
    **dict.fromkeys(
        (
            "kv:import", "kv:restore", "kv:backup", "kv:backup:verify", "kv:backup:adopt",
        ),
        CANDIDATE,
    ),
    "apps:destroy": "engine/test_deploy_kill.py"
    "::test_an_app_destroyed_by_a_process_that_is_killed_is_gone_all_the_same",
    "ps:stop": "engine/test_commands_kill.py::test_a_stop_that_is_killed_has_happened_or_not",
    "apps:rename": "engine/test_apps_kill.py::test_a_rename_killed_at_any_step_has_happened_or_not",
    "apps:clone": "engine/test_apps_kill.py"
    "::test_a_clone_killed_at_any_step_is_whole_or_not_there",
    "build": "engine/build/test_build_cache.py::test_what_killed_builds_leave_is_freed",
    "stack:update": "engine/build/test_build_cache.py::test_what_killed_builds_leave_is_freed",
    "stack:pull": "push/test_stack_update.py::test_a_pull_that_is_killed_leaves_nothing",
    "stack:remove": "one transaction of two names; what they stood for is collected",
    "repo:purge-cache": "what is left of a cache is a cache",
    "builds:cancel": DEPLOYS,
    "containers:commit": "engine/test_containers_kill.py"
    "::test_a_commit_killed_at_any_step_leaves_a_whole_image_or_none",
    "certs:generate": "what it has made goes the way of certs:add",
    "letsencrypt:auto-renew": "what was issued goes the way of certs:add",
    "letsencrypt:account-rollover": "push/test_letsencrypt.py"
    "::test_the_account_gets_a_new_key_and_goes_on",
    "registry:login": "the registry is asked, then one file is written as a whole",
    "registry:logout": "one file is written as a whole",
    "drains:allow-host": "one transaction of one setting",
    "git:allow-host": "one setting, then keys that are learned again by the next",
    "git:public-key": "a key that is made as a whole when it is first asked for",
    "plugin:update": "it fetches as plugin:install does, and uses as plugin:enable does",
    "kv:restart": "engine/test_commands_kill.py::test_a_restart_that_is_killed_goes_on",
    # Within a major version; to another one as CANDIDATE.
    "kv:upgrade": "engine/test_service_faults.py"
    "::test_an_upgrade_in_place_that_is_killed_goes_on",
    "kv:rotate": "engine/test_service_faults.py"
    "::test_a_rotation_killed_at_any_step_leaves_no_password_that_the_next_does_not_end",
    "kv:prune": "each volume is renamed away, and deleted by who comes next as by storage:destroy",
    "kv:promote": "one transaction with the config, as kv:link",
    "up": "engine/test_services.py::test_up_is_idempotent_and_everything_is_detached",
    "down": "whoever ends it half-way ends it again",
    "upgrade": "unit/daemon/test_trial.py::test_an_upgrade_killed_at_any_step_is_taken_back",
}  # fmt: skip
"""Commands that are not killed there, and why, or which test kills them instead."""
