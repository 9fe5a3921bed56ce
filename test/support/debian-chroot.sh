# Installs, starts, upgrades, removes and purges a Debian package in a copy of this machine: an overlay over its files,
# in namespaces of its own. Arguments: a folder of its own, the package, and the same of the next version. Prints what it finds,
# one line each: NAME=VALUE.
set -eu
folder=$1 package=$2 next=$3

mount -t tmpfs none "$folder"
mkdir "$folder/upper" "$folder/work" "$folder/root"
cp "$package" "$folder/first.deb"
cp "$next" "$folder/next.deb"
mount -t overlay none -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" "$folder/root"
root=$folder/root
mount -t proc none "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs none "$root/run"
mkdir "$root/run/packages"
mv "$folder/first.deb" "$folder/next.deb" "$root/run/packages/"

environment="PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive"
inside() { chroot "$root" env -i $environment "$@"; }
told() { printf '%s=%s\n' "$1" "$2"; }
state() { inside dpkg-query -W -f '${db:Status-Abbrev}${Version}' sapwood 2>/dev/null || echo none; }
wanted=$root/etc/systemd/system/multi-user.target.wants/sapwood.service

# Without systemd, as in an image that is being made.
inside dpkg -i /run/packages/first.deb >"$folder/log" 2>&1 || { cat "$folder/log" >&2; exit 1; }
told installed "$(state)"
told enabled "$(readlink "$wanted" || echo no)"
told version "$(inside sapwood --version)"
told pages "$(ls "$root/usr/share/man/man1" | grep -c '^sapwood')"
told completions "$(cd "$root/usr/share" && ls bash-completion/completions/sapwood zsh/vendor-completions/_sapwood fish/vendor_completions.d/sapwood.fish | wc -l)"
told sums "$(inside sh -c 'cd / && md5sum --quiet -c /var/lib/dpkg/info/sapwood.md5sums' && echo right || echo wrong)"
told modules "$(ls -d "$root/usr/lib/sapwood/node_modules"/typescript "$root/usr/lib/sapwood/node_modules"/vitest 2>/dev/null | wc -l)"

# A node of its own network, as the unit starts it.
inside ip link add eth9 mtu 1500 type veth peer name eth8
inside ip address add 192.0.2.11/24 dev eth9
inside ip link set eth8 up
inside ip link set eth9 up
inside ip link set lo up
printf 'node: { id: node-a, underlay: { address: 192.0.2.11 } }\n' >"$root/etc/sapwood/node.yaml"
told doctor "$(inside sapwood doctor --json | tr -d ' \n' | grep -o '^{"ok":[a-z]*')"
inside socat -u UNIX-RECV:/run/notify.sock OPEN:/run/notify.log,creat,append &
while [ ! -S "$root/run/notify.sock" ]; do sleep 0.1; done
notify="NOTIFY_SOCKET=/run/notify.sock WATCHDOG_USEC=300000"
chroot "$root" env -i $environment $notify sapwood run >"$folder/out" 2>"$folder/err" & # no shell in between: signals reach it
proxy=$!
for _ in $(seq 600); do grep -q 'WATCHDOG=1' "$root/run/notify.log" 2>/dev/null && break; sleep 0.1; done
told ready "$(grep -c '^sapwood ready node=node-a ' "$folder/out" || true)"
told asked "$(inside sapwood status --json | grep -c '"node": "node-a"')"
kill -TERM $proxy
ended=0
wait $proxy || ended=$?
told ended $ended
told notified "$(sort -u "$root/run/notify.log" | tr '\n' ' ')"

# What an administrator changed stays, and so does the choice not to start it.
echo SAPWOOD_LOG_LEVEL=debug >>"$root/etc/default/sapwood"
inside systemctl disable sapwood >/dev/null 2>&1
inside dpkg -i /run/packages/next.deb >"$folder/log" 2>&1 || { cat "$folder/log" >&2; exit 1; }
told upgraded "$(state)"
told setting "$(tail -n 1 "$root/etc/default/sapwood")"
told configuration "$([ -e "$root/etc/sapwood/node.yaml" ] && echo kept || echo lost)"
told stillDisabled "$([ -L "$wanted" ] && echo no || echo yes)"

inside dpkg -r sapwood >/dev/null 2>&1
told removed "$(state)"
told program "$([ -e "$root/usr/bin/sapwood" ] && echo there || echo gone)"
told settingAfterRemoval "$(tail -n 1 "$root/etc/default/sapwood")"
inside dpkg -P sapwood >/dev/null 2>&1
told purged "$(state)"
# A file that is deleted below is a character device in the overlay.
told left "$(cd "$folder/upper" && find . -name '*sapwood*' ! -type c | tr '\n' ' ')"
