"""What users of Dokku complain of most, and the tests that show that it cannot happen here.

Each row is a root cause that is excluded by design, with the tests that would fail if it were
back. A renamed test is renamed here too; a row without one says what is there instead.
"""

from __future__ import annotations

import ast
from functools import cache

import pytest

from tests.rules.tools import CHECKOUT

PEERS: dict[str, tuple[str, ...]] = {
    "1 no rollback": (
        "push/test_commands.py::test_rollback_brings_back_code_and_config_without_a_build",
    ),
    "2 the disk fills": (
        "engine/test_images_full.py::test_while_a_build_copies",
        "engine/test_registry_access.py::test_a_full_disk_is_named_before_anything_is_fetched",
        "engine/test_logs.py::test_no_line_is_lost_to_rotation",
    ),
    "3 a deploy lock is stuck": (
        "unit/deploy/test_attempt.py::test_a_killed_push_keeps_nobody_waiting_and_supersedes_nobody",
        "push/test_push.py::test_pushes_of_one_app_queue_and_the_newest_wins",
        "unit/deploy/test_builds.py::test_a_build_is_canceled_by_somebody",
    ),
    "4 one app's configuration blocks all others": (
        "unit/proxy/test_quarantine.py::test_one_broken_among_many_costs_little",
        "push/test_edge.py::test_a_site_that_is_left_out_is_said_at_the_end_of_the_push",
    ),
    "5 a neighbour answers": (
        "push/test_push.py::test_an_unknown_host_gets_no_answer",
        "push/test_attacks.py::test_a_request_is_answered_by_the_app_of_its_host_alone",
        "push/test_crash.py::test_after_a_reboot_every_app_comes_back_and_a_broken_one_stops_none",
    ),
    "6 half a deploy": (
        "push/test_unhealthy.py::test_one_broken_process_type_holds_back_all_of_them",
        "engine/test_deploy_kill.py"
        "::test_a_deploy_killed_at_any_step_is_rolled_back_or_forward_by_the_next_supervisor",
    ),
    "7 old workers run on": (
        "engine/test_operations.py::test_a_worker_that_may_not_overlap_is_stopped_first",
        "engine/test_deploy_kill.py"
        "::test_a_deploy_killed_at_any_step_is_settled_by_a_supervisor_that_lives",
    ),
    "8 5xx during a deploy": (
        "push/test_requests.py::test_no_request_fails_over_three_deploys_a_restart_and_a_scale",
        "engine/test_deploy_kill.py::test_a_committed_release_that_nobody_routed_costs_no_request",
    ),
    "9 config:set is a slow redeploy": (
        "push/test_commands.py::test_config_set_can_wait_for_the_next_deploy",
        "unit/cli/test_config.py::test_set_asks_for_one_change_of_all_its_pairs",
    ),
    "10 slow where nothing changed": (
        "push/test_push.py::test_pushing_the_live_commit_again_deploys_nothing",
        "push/test_push.py::test_a_rebuild_uses_the_cache",
    ),
    "11 EXPOSE decides where the app is served": (
        "push/test_push.py::test_config_and_port_are_the_environment",
        "unit/deploy/test_listening.py::test_another_port_is_named_with_both_ways_to_mend_it",
    ),
    "12 quotes and newlines in config": (
        "push/test_commands.py::test_a_value_comes_through_as_it_was_typed",
        "unit/daemon/test_forced.py::test_what_a_shell_quoted_comes_out_as_it_was",
        "push/test_commands.py::test_a_megabyte_goes_in_by_stdin_and_out_again",
    ),
    "13 413, the body is too large": (
        "engine/test_proxy.py"
        "::test_a_dead_app_and_a_large_body_have_pages_and_the_app_s_own_502_has_not",
    ),
    "14 certificates are not renewed": (
        "push/test_letsencrypt.py::test_the_supervisor_renews_in_the_last_third",
        "push/test_letsencrypt.py::test_an_authority_that_is_down_is_said_and_harms_nobody",
        "unit/deploy/test_expiry.py"
        "::test_it_is_said_from_three_weeks_before_the_end_and_once_a_day",
    ),
    "15 backups that do not run or cannot be restored": (
        "push/test_services.py::test_the_supervisor_makes_the_backups_that_are_due_in_a_bucket",
        "push/test_services.py"
        "::test_a_backup_is_checked_by_restoring_it_and_brings_the_data_back",
        "push/test_services.py::test_a_backup_whose_target_is_down_is_recorded_as_bad",
    ),
    "16 a major upgrade of a database bricks its data": (
        "push/test_services.py::test_data_of_another_version_is_refused_and_left_alone",
    ),
    "17 one failing app stops the start of the rest": (
        "push/test_crash.py::test_after_a_reboot_every_app_comes_back_and_a_broken_one_stops_none",
        "engine/test_deploy_kill.py"
        "::test_hanging_instances_of_one_app_do_not_keep_another_from_coming_back",
    ),
    "18 a build takes the machine's memory": (
        "engine/build/test_build_run.py::test_too_much_memory_is_named",
        "engine/test_cgroups.py::test_a_command_that_eats_memory_dies_alone",
    ),
    "19 logs vanish with a deploy": (
        "unit/deploy/test_applogs.py::test_logs_go_on_across_releases",
        "unit/deploy/test_applogs.py::test_the_release_of_a_container_outlives_its_instance",
    ),
    "20 one-offs outlive their connection": (
        "push/test_commands.py::test_run_leaves_nothing_and_dies_with_its_connection",
    ),
    "21 no permissions": (
        "unit/cli/test_access.py::test_each_command_is_denied_unless_the_role_grants_it",
        "unit/cli/test_access.py::test_a_role_in_one_app_is_none_in_another",
        "unit/cli/test_access.py::test_whoever_nobody_knows_may_nothing",
    ),
    "22 compose projects (not taken: refused in words)": (
        "unit/deploy/test_tree.py::test_a_compose_project_is_told_what_takes_its_place",
        "push/test_refused.py::test_a_tree_that_cannot_be_built_is_refused",
    ),
    "23 previews (a clone of the app is one)": (
        "push/test_apps.py::test_a_branch_is_tried_in_a_clone_and_the_app_never_hears_of_it",
        "push/test_refused.py::test_another_branch_is_refused_with_what_to_type",
    ),
    "24 a push that does nothing, and says so with 0": (
        "push/test_refused.py::test_another_branch_is_refused_with_what_to_type",
        "push/test_refused.py::test_a_tag_is_not_a_deploy",
        "push/test_push.py::test_pushing_the_live_commit_again_deploys_nothing",
    ),
    "25 a shallow push is rejected after its build": (
        "push/test_refused.py::test_a_shallow_clone_goes_live_or_hears_that_it_is_one",
    ),
    "26 nothing for programs": (
        "push/test_apps.py"
        "::test_a_program_with_a_key_of_its_own_deploys_one_app_and_sees_no_other",
        "rules/test_formats.py::test_what_prints_a_table_has_a_form_for_programs",
        "unit/cli/test_conventions.py::test_every_list_and_report_is_there_for_programs",
    ),
    "27 app.json overrides what was scaled": (
        "unit/deploy/test_draft.py::test_what_was_scaled_wins_over_what_the_repository_says",
    ),
    "28 checks that fail without a reason": (
        "unit/deploy/test_checks.py"
        "::test_the_app_is_asked_by_its_domain_unless_the_check_names_another",
        "unit/deploy/test_listening.py"
        "::test_loopback_is_named_with_the_address_to_bind_instead",
        "engine/test_operations.py::test_a_failed_check_is_named_with_what_it_got",
        "push/test_unhealthy.py"
        "::test_a_broken_version_is_refused_and_the_old_one_keeps_serving",
    ),
    "S1 a name becomes shell": (
        "push/test_refused.py::test_a_push_to_a_bad_app_name_is_refused_by_name",
        "unit/model/test_names.py"
        "::test_what_passes_as_an_app_name_is_a_dns_label_and_one_path_component",
    ),
    "S2 an archive writes elsewhere": (
        "unit/deploy/test_archive.py::test_a_name_that_leads_out_is_refused",
        "unit/cli/test_pem.py::test_the_files_of_a_tar_are_joined_and_its_links_left",
        "push/test_refused.py::test_a_link_in_the_tree_that_leads_out_reads_nothing_of_the_server",
    ),
    "S3 a repository's part of the proxy runs code": (
        "push/test_edge.py::test_a_snippet_that_reaches_too_far_is_refused_before_the_build",
        "unit/proxy/test_snippet.py"
        "::test_any_text_is_refused_or_comes_out_as_the_same_directives",
    ),
    "S4 a cron command is the host's shell": (
        "engine/test_cron.py::test_a_run_has_the_apps_config_an_exit_code_and_a_log",
        "push/test_push.py::test_root_in_the_container_is_nobody_on_the_host",
    ),
    "S5 options are evaluated": (
        "push/test_commands.py::test_a_value_comes_through_as_it_was_typed",
        "unit/cli/test_run.py::test_what_is_no_time_is_refused",
        "unit/cli/test_any_words.py::test_any_words_are_understood_or_refused",
    ),
    "S6 deleted secrets come back": (
        "engine/test_operations.py::test_what_was_unset_stays_away",
    ),
    "S7 secrets that others can read": (
        "push/test_attacks.py::test_other_users_read_and_write_nothing_of_ours",
        "push/test_attacks.py::test_no_file_but_databases_and_bundles_has_a_secret",
        "push/test_attacks.py::test_a_secret_is_seen_in_the_processes_of_its_app_alone",
    ),
}  # fmt: skip


@cache
def named_in(path: str) -> frozenset[str]:
    tree = ast.parse((CHECKOUT / "tests" / path).read_bytes())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def test_every_row_is_there() -> None:
    rows = [*map(str, range(1, 29)), *(f"S{number}" for number in range(1, 8))]
    assert [name.partition(" ")[0] for name in PEERS] == rows


@pytest.mark.parametrize("row", PEERS)
def test_a_row_names_tests_that_there_are(row: str) -> None:
    for named in PEERS[row]:
        path, _, name = named.partition("::")
        assert name in named_in(path), named
