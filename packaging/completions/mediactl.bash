# bash completion for mediactl; loaded by bash-completion, or with `source`

# the names of watches and libraries, as the daemon has them
_mediactl_names() {
    mediactl status --json 2>/dev/null | grep -o '"name": "[^"]*"' | cut -d '"' -f 4
}

_mediactl() {
    local commands='
        status pause resume reload scan wait import adopt why history queue failures retry dismiss undo
        trash refile date duplicates verify safe-to-wipe monitor'
    local shared='--help --json --socket --user --system' command='' word options=''
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()

    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        if [[ " $(echo $commands) " == *" $word "* ]]; then
            command=$word
            break
        fi
    done

    case $previous in
    --socket)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    --accept)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    --keep)
        mapfile -t COMPREPLY < <(compgen -W 'best oldest' -- "$current")
        return
        ;;
    --under)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -d -- "$current")
        return
        ;;
    --library)
        mapfile -t COMPREPLY < <(compgen -W "$(_mediactl_names)" -- "$current")
        return
        ;;
    --use)
        mapfile -t COMPREPLY < <(compgen -W 'exif quicktime xmp takeout filename mtime' -- "$current")
        return
        ;;
    --for | --timeout | --since | --batch | --label | --set | --shift)
        return
        ;;
    esac

    case $command in
    '') options='--version' ;;
    status) options='--watch' ;;
    pause) options='--for' ;;
    wait) options='--timeout' ;;
    import) options='--library --label -n --dry-run' ;;
    adopt) options='-n --dry-run' ;;
    history) options='--since --batch --doubtful' ;;
    retry) options='--unparsed -n --dry-run' ;;
    undo) options='--since -n --dry-run -y --yes' ;;
    trash) options='-n --dry-run -y --yes' ;;
    refile) options='--library -n --dry-run -y --yes' ;;
    date) options='--set --shift --use --reset -n --dry-run -y --yes' ;;
    verify) options='--accept --resume' ;;
    duplicates) options='--similar --prune --under --keep -n --dry-run -y --yes' ;;
    esac
    if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$shared $options" -- "$current")
        return
    fi
    case $command in
    '') mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$current") ;;
    pause | resume | scan | adopt) mapfile -t COMPREPLY < <(compgen -W "$(_mediactl_names)" -- "$current") ;;
    import | why | retry | dismiss | undo | trash | refile | date | verify | safe-to-wipe)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        ;;
    esac
}

complete -F _mediactl mediactl
