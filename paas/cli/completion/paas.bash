# Completion of paas for bash: eval "$(paas completion bash)"
_paas() {
    local word words=() candidate rest
    # As it was typed: bash itself splits at the colon of a command's name.
    read -ra words <<<"${COMP_LINE:0:COMP_POINT}"
    [[ ${COMP_LINE:0:COMP_POINT} == *[[:space:]] ]] && words+=("")
    word=${words[${#words[@]} - 1]}
    rest=${word%"${word##*[:=]}"}
    COMPREPLY=()
    while IFS= read -r candidate; do
        # Only what stands behind the last colon or equals sign is replaced.
        COMPREPLY+=("${candidate#"$rest"}")
    done < <("${words[0]}" complete "${words[@]:1}" 2>/dev/null)
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace
    return 0
}
complete -F _paas paas
