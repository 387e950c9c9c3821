# fish completion for mediactl

# the names of watches and libraries, as the daemon has them
function __mediactl_names
    mediactl status --json 2>/dev/null | grep -o '"name": "[^"]*"' | cut -d '"' -f 4
end

set -l commands status pause resume reload scan wait import adopt why history queue failures retry dismiss undo trash \
    refile date duplicates verify safe-to-wipe monitor

complete -c mediactl -f
complete -c mediactl -s h -l help -d 'show a summary'
complete -c mediactl -l json -d 'print JSON instead of text'
complete -c mediactl -l socket -r -F -d 'the socket of the daemon'
complete -c mediactl -l user -d 'the own daemon of the user'
complete -c mediactl -l system -d 'the daemon of the system'

complete -c mediactl -n "not __fish_seen_subcommand_from $commands" -l version -d 'show the version'
complete -c mediactl -n "not __fish_seen_subcommand_from $commands" -a status -d 'say whether all is well'
complete -c mediactl -n "not __fish_seen_subcommand_from $commands" -a pause -d 'take no new files'
complete -c mediactl -n "not __fish_seen_subcommand_from $commands" -a resume -d 'end pauses'
complete -c mediactl -n "not __fish_seen_subcommand_from $commands" -a reload -d 'read the configuration anew'
complete -c mediactl -n "not __fish_seen_subcommand_from $commands" -a scan -d 'look at watches and libraries now'
complete -c mediactl -n "not __fish_seen_subcommand_from $commands" -a wait -d 'wait until all is filed'
complete -c mediactl -n "not __fish_seen_subcommand_from $commands" -a import -d 'copy a card or folder in, once'
complete -c mediactl -n "not __fish_seen_subcommand_from $commands" -a why -d 'tell the story of a file'
complete -c mediactl -n "not __fish_seen_subcommand_from $commands" -a adopt -d 'catalogue a library in place'
complete -c mediactl -n "not __fish_seen_subcommand_from $commands" -a history -d 'list what was done'
complete -c mediactl -n "not __fish_seen_subcommand_from $commands" -a queue -d 'list the files that wait'
complete -c mediactl -n "not __fish_seen_subcommand_from $commands" -a failures -d 'list files in trouble'
complete -c mediactl -n "not __fish_seen_subcommand_from $commands" -a retry -d 'try files in trouble again'
complete -c mediactl -n "not __fish_seen_subcommand_from $commands" -a dismiss -d 'report them no more'
complete -c mediactl -n "not __fish_seen_subcommand_from $commands" -a undo -d 'take back what was done'
complete -c mediactl -n "not __fish_seen_subcommand_from $commands" -a trash -d 'move library files into trash'
complete -c mediactl -n "not __fish_seen_subcommand_from $commands" -a refile -d 'move them to where they belong'
complete -c mediactl -n "not __fish_seen_subcommand_from $commands" -a date -d 'override capture dates'
complete -c mediactl -n "not __fish_seen_subcommand_from $commands" -a duplicates -d 'list equal library files'
complete -c mediactl -n "not __fish_seen_subcommand_from $commands" -a verify -d 'read library files again'
complete -c mediactl -n "not __fish_seen_subcommand_from $commands" -a safe-to-wipe -d 'say whether all of a card is kept'
complete -c mediactl -n "not __fish_seen_subcommand_from $commands" -a monitor -d 'follow what happens'

complete -c mediactl -n '__fish_seen_subcommand_from status' -l watch -d 'again each second'
complete -c mediactl -n '__fish_seen_subcommand_from pause' -l for -x -d 'how long'
complete -c mediactl -n '__fish_seen_subcommand_from wait' -l timeout -x -d 'how long at most'
complete -c mediactl -n '__fish_seen_subcommand_from pause resume scan adopt' -a '(__mediactl_names)'
complete -c mediactl -n '__fish_seen_subcommand_from import refile' -l library -x -a '(__mediactl_names)' -d 'where to'
complete -c mediactl -n '__fish_seen_subcommand_from import' -l label -x -d 'text for the layout'
complete -c mediactl -n '__fish_seen_subcommand_from import retry adopt undo trash refile date duplicates' -s n -l dry-run \
    -d 'only say what would happen'
complete -c mediactl -n '__fish_seen_subcommand_from undo trash refile date duplicates' -s y -l yes \
    -d 'do it without asking'
complete -c mediactl -n '__fish_seen_subcommand_from undo' -l since -x -d 'all that was done since then'
complete -c mediactl -n '__fish_seen_subcommand_from date' -l set -x -d 'the date'
complete -c mediactl -n '__fish_seen_subcommand_from date' -l shift -x -d 'so much later, or earlier'
complete -c mediactl -n '__fish_seen_subcommand_from date' -l use -x -a 'exif quicktime xmp takeout filename mtime' \
    -d 'what this source says'
complete -c mediactl -n '__fish_seen_subcommand_from date' -l reset -d 'what the files tell'
complete -c mediactl -n '__fish_seen_subcommand_from verify' -l accept -r -F -d 'take it as it is'
complete -c mediactl -n '__fish_seen_subcommand_from verify' -l resume -d 'go on with what was broken off'
complete -c mediactl -n '__fish_seen_subcommand_from duplicates' -l similar -d 'those that look alike, too'
complete -c mediactl -n '__fish_seen_subcommand_from duplicates' -l prune -d 'move all copies but one into trash'
complete -c mediactl -n '__fish_seen_subcommand_from duplicates' -l under -x -a '(__fish_complete_directories)' \
    -d 'only those in this folder'
complete -c mediactl -n '__fish_seen_subcommand_from duplicates' -l keep -x -a 'best oldest' -d 'the one that stays'
complete -c mediactl -n '__fish_seen_subcommand_from history' -l since -x -d 'only what was done since then'
complete -c mediactl -n '__fish_seen_subcommand_from history' -l batch -x -d 'only this batch'
complete -c mediactl -n '__fish_seen_subcommand_from history' -l doubtful -d 'only dates of low confidence'
complete -c mediactl -n '__fish_seen_subcommand_from retry' -l unparsed -d 'file them by name, unopened'
complete -c mediactl -n '__fish_seen_subcommand_from import why retry dismiss undo trash refile date verify safe-to-wipe' -F
