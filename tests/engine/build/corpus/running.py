"""What RUN leaves in the image, and who runs it where."""

from tests.engine.build.corpus.case import FROM, TREE, Case

LEAVES = Case(
    "what-commands-leave",
    FROM
    + """\
RUN mkdir -p /r/a/b && echo 1 > /r/a/1 && chmod 2750 /r/a && chown 3:4 /r/a/1
RUN rm -r /old && mkdir /old && echo new > /old/new
RUN ln /r/a/1 /r/hard && ln -s /r/a /r/soft && mv /r/a/b /r/moved && chmod 0 /home
RUN mkdir -m 3777 /s && touch /f && chmod 6711 /f && chown 5:6 /f /s && mkdir -m 500 /ro
RUN chmod 600 /f && chown -h 9:9 /lib && touch /none && chmod 0 /none
RUN ln -s a /s1 && ln /s1 /s2 && umask 077 && mkdir /u && touch /u/f
RUN busybox mkfifo /fifo && touch "/na me" "/$(printf 'b\\303\\266')" && chmod 711 /
RUN true
RUN ls /
""",
    differs={"docker": {".": "what a command makes of the root directory is kept"}},
)
DELETES = Case(
    "what-commands-take-away",
    FROM
    + """\
RUN mkdir -p /d/a/b /e /k && echo 1 > /d/a/b/f && echo 2 > /d/x && echo 3 > /e/y && ln -s /d /l
RUN rm -r /d/a && rm /e/y && rm /l && mkdir /l && echo in > /l/in && echo k > /k/k
RUN rm -r /d && echo file > /d && rm -r /e && ln -s nowhere /e && rm -r /k && mkdir /k
RUN rm /d && mkdir /d && chmod 700 /d && touch /d/z && echo n > /k/new
RUN mv /k /moved && mv /d /d2 && rm -rf /old/dir && rm -f /bin/false /etc/group
RUN rm -r /old && echo f > /old && rm /lib && mkdir /lib && echo 1 > /lib/x
RUN rm -r /home/me && ln -s /tmp /home/me
""",
)
USERS = Case(
    "who-runs-commands-where",
    FROM
    + """\
RUN ["/bin/sh", "-c", "echo exec > /exec"]
WORKDIR /a/b
WORKDIR c
WORKDIR ./d/..
RUN pwd > /pwd1
WORKDIR ../x y
RUN pwd > /pwd2
ENV D=/from/env U=me
WORKDIR $D/sub
WORKDIR ${D}//double/
RUN pwd > /pwd3
WORKDIR /lib/through
WORKDIR /out/through
WORKDIR /old/dir
RUN stat -c '%a %u' . > /pwd4
USER me
WORKDIR /of/me
RUN id -un > /tmp/1; id -g >> /tmp/1; pwd >> /tmp/1; umask >> /tmp/1; echo $HOME >> /tmp/1
USER $U:${G:-staff}
RUN id > /tmp/2; touch mine 2>> /tmp/2
USER 1000
RUN id > /tmp/3
USER 1234
RUN id > /tmp/4; echo $HOME >> /tmp/4
USER 1234:99
WORKDIR /of/1234
RUN id > /tmp/5
""",
    differs={
        "docker 20.": dict.fromkeys(
            ("tmp/2", "tmp/3", "tmp/4", "tmp/5"), "the group itself is no supplementary one here"
        )
    },
)
SYSTEM_FILES = Case(
    "files-of-the-runtime-are-not-the-image's",
    FROM
    + """\
RUN echo 1.2.3.4 x >> /etc/hosts; echo h > /etc/hostname; echo c > /dev/shm/f; true
RUN mkdir -p /run/x /var/run /tmp/t && echo a > /run/x/f && echo b > /tmp/t/f
RUN grep -c 1.2.3.4 /etc/hosts > /count; true
""",
)
_MOUNTS = (
    "FROM paas/test-base:1 AS made\n"
    "RUN echo made > /made && mkdir -p /m/n && echo 1 > /m/n/f && echo 2 > /m/g\n"
    + FROM
    + """\
RUN --mount=type=bind,source=dir,target=/m \\
    --mount=type=bind,from=made,source=/made,target=/n cat /m/one /n > /read
RUN --mount=type=tmpfs,target=/t echo x > /t/x
RUN --mount=type=cache,target=/cached echo x > /cached/x
WORKDIR /w
RUN --mount=type=bind,from=made,source=m,target=rel cat rel/n/f rel/g > /r1
RUN --mount=from=made,target=/all cat /all/m/g > /r2
RUN --mount=type=bind,from=paas/test-base:1,src=/etc/passwd,dst=/pw cat /pw > /r3
RUN --mount=type=bind,source=dir,target=/old,rw echo x > /old/new; ls /old > /r4
RUN --mount=type=cache,id=c1,target=/c echo 1 > /c/one
RUN --mount=type=cache,id=c1,target=/c2,readonly cat /c2/one > /r5
RUN --mount=type=cache,target=/c3,uid=7,gid=8,mode=0750 stat -c '%a %u %g' /c3 > /r6
RUN --mount=type=tmpfs,target=/old ls /old > /r7
"""
)
MOUNTS = Case(
    "mounts",
    _MOUNTS,
    TREE,
    older=_MOUNTS.replace("target=rel", "target=/w/rel").replace(
        "--mount=type=bind,from=paas/test-base:1,src=/etc/passwd,dst=/pw cat /pw", "cat /etc/passwd"
    ),
    by=("docker", "buildah 1.3", "buildah 1.4"),
    differs={
        "docker 20.": dict.fromkeys(
            ("all", "c", "c2", "c3", "cached", "m", "t", "w/rel"), "places to mount on are left"
        ),
        "buildah 1.28": dict.fromkeys(
            ("old", "old/dir", "old/file"), "what was mounted on is taken away with the mount"
        ),
    },
)

CASES = (LEAVES, DELETES, USERS, SYSTEM_FILES, MOUNTS)
