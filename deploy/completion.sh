# Tab completion for bash and zsh: commands, their options, the names of statements, and their parameters.
#
#     echo "source '$PWD/deploy/completion.sh'" >> ~/.bashrc       # or ~/.zshrc; then open a new shell
#
# It works for `python3 server.py` and `./server.py`, and looks at the files beside that server.py: no Python is started.

_bodega_words() { # SERVER.PY CURRENT WORD…: print what may stand here; the words are those before the current one
    [ -z "$ZSH_VERSION" ] || emulate -L sh
    local home=. current=$2 command=$3 statement= file name word
    case $1 in */*) home=${1%/*} ;; esac
    case $home in "~"*) home=$HOME${home#"~"} ;; esac
    case $command$current in
        -*) command=serve ;; # what is started without a name
        "$current")
            for file in "$home"/commands/[a-z]*.py; do
                name=${file##*/} name=${name%.py}
                # check_plans.py helps check.py
                [ "$name" != "${name%%_*}" ] && [ -e "$home/commands/${name%%_*}.py" ] || echo "$name"
            done
            return
            ;;
    esac
    case $current in
        -*)
            # what add_argument( takes, on its own line or on those below
            sed -n -e 's/^ *"\(--[a-z-]*\)".*/\1/p' -e 's/.*add_argument(.*"\(--[a-z-]*\)".*/\1/p' \
                "$home/commands/$command.py" 2> /dev/null
            echo --help
            return
            ;;
    esac
    case $command in sql | overlay) shift 3 ;; *) return 0 ;; esac
    for word in "$@"; do
        [ -n "$statement" ] || [ ! -f "$home/sql/$word.sql" ] || statement=$home/sql/$word.sql
    done
    if [ -n "$statement" ]; then
        [ "$command" = sql ] || return 0
        for name in $(sed '/^--/d' "$statement" | grep -o '%([a-z0-9_]*)s' | sed 's/%(\(.*\))s/\1/' | sort -u); do
            case " $* " in *" $name "* | *" $name="*) ;; *) echo "$name=" ;; esac
        done
        return
    fi
    case $current in
        */*) find "$home/sql/${current%%/*}" -name '*.sql' 2> /dev/null | sed "s|^$home/sql/||; s|\\.sql\$||" ;;
        *) find "$home/sql" -mindepth 1 -type d 2> /dev/null | sed 's|.*/||; s|$|/|' ;;
    esac
}

if [ -n "$ZSH_VERSION" ]; then
    _bodega() {
        local at=${words[(i)*server.py]}
        if (( at >= CURRENT )); then
            if (( $+functions[_python] )); then _python "$@"; else _default "$@"; fi
            return
        fi
        local -a found=(${(f)"$(_bodega_words "${words[at]}" "${words[CURRENT]}" "${(@)words[at+1,CURRENT-1]}")"})
        (( $#found )) || { _files; return; }
        compadd -S '' -- ${(M)found:#*[=/]}
        compadd -- ${found:#*[=/]}
    }
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i; }
    compdef _bodega server.py python3 python
else
    _bodega() {
        local at=0 word current=${COMP_WORDS[COMP_CWORD]}
        COMPREPLY=()
        while [ $at -lt $COMP_CWORD ] && [ "${COMP_WORDS[at]##*/}" != server.py ]; do at=$((at + 1)); done
        if [ $at -ge $COMP_CWORD ]; then
            [ -z "$_bodega_before" ] || "$_bodega_before" "$@" # what completed `python3` before
            return
        fi
        while IFS= read -r word; do
            case $word in
                "$current"*[=/]) COMPREPLY+=("$word"); compopt -o nospace 2> /dev/null ;;
                "$current"*) COMPREPLY+=("$word") ;;
            esac
        done < <(_bodega_words "${COMP_WORDS[at]}" "$current" "${COMP_WORDS[@]:at+1:COMP_CWORD-at-1}")
    }
    for _bodega_before in _comp_load _completion_loader; do # of the package bash-completion
        ! declare -F $_bodega_before > /dev/null || $_bodega_before python3 > /dev/null 2>&1
    done
    _bodega_before=$(complete -p python3 2> /dev/null | sed -n 's/.* -F \([^ ]*\) .*/\1/p')
    [ "$_bodega_before" != _bodega ] || _bodega_before=
    complete -o bashdefault -o default -F _bodega server.py python3 python
fi
