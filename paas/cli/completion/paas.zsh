#compdef paas
# Completion of paas for zsh: eval "$(paas completion zsh)"
_paas() {
    local -a candidates open
    candidates=("${(@f)$("${words[1]}" complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    candidates=("${(@)candidates:#}")
    open=("${(@M)candidates:#*=}")
    candidates=("${(@)candidates:#*=}")
    compadd -S '' -- "${open[@]}"
    compadd -- "${candidates[@]}"
}
(( $+functions[compdef] )) && compdef _paas paas
