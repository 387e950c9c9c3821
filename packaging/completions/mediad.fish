# fish completion for mediad

set -l commands run init check-config plan rebuild
set -l keys duplicates.exact= duplicates.scope= duplicates.deleted= duplicates.similar= \
    duplicates.similar_distance= dates.timezone= dates.sources= dates.mtime= dates.earliest= trash.keep= \
    verify.every= verify.rate= daemon.workers= daemon.log_level= daemon.group= daemon.state_dir= \
    daemon.socket= daemon.metrics_file=

complete -c mediad -f
complete -c mediad -s h -l help -d 'show a summary'
complete -c mediad -l config -r -F -d 'configuration file'

complete -c mediad -n "not __fish_seen_subcommand_from $commands" -l version -d 'show the version'
complete -c mediad -n "not __fish_seen_subcommand_from $commands" -a run -d 'serve in the foreground'
complete -c mediad -n "not __fish_seen_subcommand_from $commands" -a init -d 'write a commented configuration'
complete -c mediad -n "not __fish_seen_subcommand_from $commands" -a check-config -d 'print every problem'
complete -c mediad -n "not __fish_seen_subcommand_from $commands" -a plan -d 'say what would happen to files'
complete -c mediad -n "not __fish_seen_subcommand_from $commands" -a rebuild -d 'make the catalogue anew'

complete -c mediad -n '__fish_seen_subcommand_from run check-config plan rebuild' -l set -x -a "$keys" -d 'set a key'
complete -c mediad -n '__fish_seen_subcommand_from run' -l once -d 'file what is there now, then stop'
complete -c mediad -n '__fish_seen_subcommand_from init' -l watch -x -a '(__fish_complete_directories)' -d 'take from'
complete -c mediad -n '__fish_seen_subcommand_from init' -l library -x -a '(__fish_complete_directories)' -d 'file into'
complete -c mediad -n '__fish_seen_subcommand_from init' -l system -d 'for a system service'
complete -c mediad -n '__fish_seen_subcommand_from plan' -l list -d 'a line for each file'
complete -c mediad -n '__fish_seen_subcommand_from plan' -F
