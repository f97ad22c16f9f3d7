"""How a Dockerfile is read: spaces, continuations, comments, JSON, line ends, escapes."""

from tests.engine.build.corpus.case import FROM, Case

SPACES = Case(
    "spaces-comments-continuations-json",
    """\
# a comment

  \n  from paas/test-base:1 as Base
\trun echo a > /a
   RuN   echo   'two  spaces'   > /b
RUN echo one \\
# a comment within
   # and one that is indented

  && echo two \\  \n  && echo "a # is no comment" > /c \\
  # the last line
ENV A=1 \\
    # within ENV
    B=2 \\
    C="x \\
y"
RUN echo \\\\ back > /back; echo "\\\\" >> /back; echo '\\' >> /back; echo \\$A >> /back
RUN ["sh", "-c", "echo \\"quoted\\" \\u00e9 \\\\ > /json"]
RUN [ 'single' ] || echo single > /single
RUN ["sh", "-c", "echo $UNSET \\t tab > /tab"]
onbuild run  echo "a  b" \\
   && echo c > /x
Onbuild COPY --chown=me a.txt /x
label json="[\\"x\\"]"
ENTRYPOINT ["a b", "c\\"d"]
CMD ["one" "two"]
""",
)
LINE_ENDS = Case(
    "windows-line-ends-and-a-byte-order-mark",
    "\ufeffFROM paas/test-base:1\r\nENV A=1 \\\r\n  B=2\r\nRUN echo one \\\r\n"
    "  && echo $A-$B > /f\r\n"
    'LABEL x="y"\r\nCMD ["a"]',
)
ESCAPED = Case(
    "escape-directive",
    "# escape=`\n# another comment\n"
    + FROM
    + "ENV A=`$B C=x`\n  D=y\nRUN echo one `\n && echo C:\\dir > /file\nWORKDIR /a\\b\n"
    'CMD ["x", "a"]\n',
    differs={
        "buildah": {
            "a\\b": "the escape character counts in words too (Dockerfile reference)",
            "ab": "the same",
            "workdir": "the same",
            "env": "the same",
        }
    },
)
SHELL_FORMS = Case(
    "commands-for-the-shell",
    FROM + 'ENTRYPOINT exec   top -b   "two  x"\nCMD echo   a  "b  c" $X ; echo \\\n   next\n',
)
BLANK_COMMAND = Case(
    "a-command-of-nothing",
    FROM + 'ENTRYPOINT [""]\nCMD\n',
    differs={"buildah": {"cmd": "the shell is given an empty line, as in BuildKit"}},
)
LONG_LINE = Case("a-long-line", FROM + "RUN echo " + "x" * 30000 + " > /long\n")

CASES = (SPACES, LINE_ENDS, ESCAPED, SHELL_FORMS, BLANK_COMMAND, LONG_LINE)
