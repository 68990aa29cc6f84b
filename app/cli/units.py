"""systemd units for the two daemons. `deploy/systemd/` holds them with the values of an example. Pure.

bubblewrap makes a namespace for each job: nothing in the worker's unit forbids that, or mounts over /proc
(ProtectKernelTunables and the like do), for then it cannot give a job a /proc of its own.
"""

from __future__ import annotations

WEB = """\
[Unit]
Description=ffgrid coordinator
After=network-online.target
Wants=network-online.target

[Service]
User={user}
Environment=FFGRID_CONFIG={config}
ExecStart={program} web --host {host} --port {port}
Restart=always
RestartSec=1
UMask=0077
NoNewPrivileges=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectSystem=strict
ProtectHome=read-only
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
ProcSubset=pid
PrivateUsers=yes
CapabilityBoundingSet=
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RemoveIPC=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources

[Install]
WantedBy=multi-user.target
"""

WORKER = """\
[Unit]
Description=ffgrid worker
After=network-online.target remote-fs.target
Wants=network-online.target

[Service]
User={user}
Environment=FFGRID_CONFIG={config}
ExecStart={program} worker
Restart=always
RestartSec=1
# SIGTERM: it finishes what runs and takes nothing new. A second one, or the time below, hands the jobs back.
TimeoutStopSec=1h
KillMode=mixed
SupplementaryGroups=render video
DevicePolicy=closed
DeviceAllow=char-drm rw
DeviceAllow=char-video4linux rw
DeviceAllow=char-nvidia-frontend rw
DeviceAllow=char-nvidia-uvm rw
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=full
ProtectKernelModules=yes
ProtectControlGroups=yes
CapabilityBoundingSet=
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service @mount
Nice=5

[Install]
WantedBy=multi-user.target
"""


def web(user: str, config: str, program: str, host: str, port: int) -> str:
    """The coordinator's unit."""
    return WEB.format(user=user, config=_path(config), program=_path(program), host=host, port=port)


def worker(user: str, config: str, program: str) -> str:
    """A worker's unit."""
    return WORKER.format(user=user, config=_path(config), program=_path(program))


def _path(path: str) -> str:
    """A path as a unit has it: "%" begins a specifier there, and a space ends a word."""
    doubled = path.replace("%", "%%")
    return f'"{doubled}"' if " " in path else doubled
