# bash completion for mediad; loaded by bash-completion, or with `source`

_mediad() {
    local commands='run init check-config plan rebuild' command='' word options
    local keys='
        duplicates.exact= duplicates.scope= duplicates.deleted= duplicates.similar=
        duplicates.similar_distance= dates.timezone= dates.sources= dates.mtime= dates.earliest= trash.keep=
        verify.every= verify.rate= daemon.workers= daemon.log_level= daemon.group= daemon.state_dir=
        daemon.socket= daemon.metrics_file='
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()

    # the part behind the equals sign of --set KEY=VALUE is the user's own
    [[ $previous == '=' || $current == '=' ]] && return

    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case $word in
        run | init | check-config | plan | rebuild)
            command=$word
            break
            ;;
        esac
    done

    case $previous in
    --config)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    --watch | --library)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -d -- "$current")
        return
        ;;
    --set)
        compopt -o nospace 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -W "$keys" -- "$current")
        return
        ;;
    esac

    case $command in
    run) options='--help --once --config --set' ;;
    init) options='--help --watch --library --system --config' ;;
    check-config | rebuild) options='--help --config --set' ;;
    plan) options='--help --list --config --set' ;;
    *) options='--help --version --config' ;;
    esac
    if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
    elif [[ -z $command ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$current")
    elif [[ $command == plan ]]; then
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
    fi
}

complete -F _mediad mediad
