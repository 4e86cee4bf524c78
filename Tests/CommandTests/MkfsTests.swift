import Glibc
import Support
import Testing
import Workload

@Suite("blkdev-run mkfs", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct MkfsTests {
  private static func shell(_ command: String) -> Int32 {
    unsafe system("PATH=$PATH:/usr/sbin:/sbin; { \(command); } >/dev/null 2>&1")
  }
  /// Why tests that attach loop devices or mount cannot run; nil when they can.
  private static let privilegeLack: String? =
    geteuid() != 0 ? "needs root" : shell("losetup --find") != 0 ? "no loop device is to be had" : nil
  private static let isPrivileged = privilegeLack == nil

  /// Makes a volume in the command's folder with these arguments.
  private func mkfs(
    _ arguments: [String], environment: [String] = []
  ) throws -> (command: Command, image: String, exitCode: Int32) {
    let command = try Command()
    let image = "\(command.folder)/image"
    try command.start(["mkfs", image] + arguments, environment: environment)
    return (command, image, try command.exitCode())
  }

  @Test("makes the file that mke2fs makes, with every option, and tells what mke2fs tells")
  func everyOption() throws {
    let seed = "4d2c2a1e-0000-4000-8000-000000000002", uuid = "4d2c2a1e-0000-4000-8000-000000000001"
    let options = [
      "-b", "1024", "-I", "128", "-i", "8192", "-m", "2.5", "-L", "a label", "-U", uuid, "-r", "1", "-O",
      "^resize_inode,meta_bg", "-E", "hash_seed=\(seed),root_owner=1000:100,lazy_itable_init=1",
    ]
    let long = [
      "--block-size", "1k", "--inode-size", "128", "--bytes-per-inode", "8k", "--reserved-percent", "2.5", "--label",
      "a label", "--uuid", uuid, "--revision", "1", "--features", "^resize_inode", "--features", "meta_bg",
      "--extended",
      "hash_seed=\(seed)", "--extended", "root_owner=1000:100",
    ]
    let time = "E2FSPROGS_FAKE_TIME=1700000000"
    try TemporaryFile.with(byteCount: 32 << 20) { theirs in
      #expect(ExternalTool("env")?.run([time, "mke2fs", "-q", "-F", "-t", "ext2"] + options + [theirs])?.exitCode == 0)
      let expected = try TemporaryFile.read(theirs)
      for arguments in [options, long] {
        let (command, image, exitCode) = try mkfs(["--size", "32m"] + arguments, environment: [time])
        #expect(exitCode == 0 && command.errors == "")
        #expect(try TemporaryFile.read(image) == expected)
        #expect(
          try command.output() == """
            \(image): ext2, 32768 blocks of 1024 bytes in 4 groups, 4096 inodes
            UUID \(uuid)
            superblock backups at blocks 8193, 24577

            """)
      }
    }
  }

  @Test("refuses what looks like something, names it, and overwrites it when forced", arguments: [false, true])
  func refusesToOverwrite(isForced: Bool) throws {
    // A partition of type 0x83 from sector 8 on, 1,024 sectors long, behind the boot code.
    let partition = #"printf '\0\0\0\0\203\0\0\0\10\0\0\0\0\4\0\0' | dd conv=notrunc bs=1 seek=446 of="#
    let contents: [(String, String)] = [
      ("mke2fs -q -F -L old IMAGE", "ext2 file system 'old'"), ("mkswap IMAGE", "swap data"),
      (partition + #"IMAGE; printf '\125\252' | dd conv=notrunc bs=1 seek=510 of=IMAGE"#, "partition table (dos)"),
    ]
    for (line, name) in contents {
      let command = try Command()
      let image = "\(command.folder)/image"
      try #require(Self.shell("truncate -s 8m \(image); " + line.replacing("IMAGE", with: image)) == 0, "\(line)")
      let before = try TemporaryFile.read(image)
      try command.start(["mkfs", image] + (isForced ? ["-F"] : []))
      let exitCode = try command.exitCode()
      if isForced {
        #expect(exitCode == 0)
        #expect(try Images.check(TemporaryFile.read(image)) == nil)
      } else {
        #expect(exitCode == 1)
        #expect(command.errors.contains("image: contains: \(name); --force (-F) overwrites it"), "\(command.errors)")
        #expect(try command.output() == "")
        #expect(try TemporaryFile.read(image) == before)
      }
    }
  }

  @Test(
    "ends with 2 for what cannot be, says why, and makes no file",
    arguments: [
      ([], "--size: a file that does not exist yet needs one"),
      (["--size", "8m", "-b", "3000"], "--block-size: 3000: must be a power of two from 1024 to 65536"),
      (["--size", "8m", "-O", "^resize_inod"], "did you mean resize_inode?"),
      (["--size", "8m", "-O", "has_journal"], "no feature 'has_journal' can be made"),
      (["--size", "8m", "-E", "hash_sed=1"], "did you mean hash_seed?"),
      (["--size", "8m", "-E", "hash_seed=1"], "hash_seed: '1': not a UUID"),
      (["--size", "8m", "-E", "root_owner=1"], "must be UID:GID"),
      (["--size", "8m", "-E", "lazy_itable_init=2"], "must be 0 or 1"),
      (["--size", "8m", "-U", "1"], "--uuid: '1': must be a UUID, random or clear"),
      (["--size", "8q"], "unknown suffix 'q'"), (["--size", "9k"], "too few"), (["--size", "8m", "-N", "8m"], "-N"),
      (["--size", "8m", "-m", "51"], "--reserved-percent: 51.0: must be 0 to 50"),
    ])
  func wrongUsage(arguments: [String], message: String) throws {
    let (command, _, exitCode) = try mkfs(arguments)
    #expect(exitCode == 2)
    #expect(command.errors.contains(message), "\(command.errors)")
    #expect(try command.output() == "")
    #expect(!command.hasImage)
  }

  @Test("takes the size of the file that is there, and makes it longer only when told")
  func existingFile() throws {
    let had = 5 << 20 + 3000
    for (sizes, expected) in [([], had), (["--size", "3m"], had), (["--size", "9m"], 9 << 20)] {
      let command = try Command()
      let image = "\(command.folder)/image"
      try #require(Self.shell("head -c \(had) /dev/urandom > \(image)") == 0)
      try command.start(["mkfs", "-q", image] + sizes)
      #expect(try command.exitCode() == 0)
      #expect(try command.output() == "")
      let bytes = try TemporaryFile.read(image)
      #expect(bytes.count == expected)
      #expect(try Images.check(bytes) == nil)
    }
  }

  @Test("writes nothing on a dry run, and shows what it would make")
  func dryRun() throws {
    let (command, image, exitCode) = try mkfs(["-n", "--size", "100g", "-U", "clear"])
    #expect(exitCode == 0)
    #expect(
      try command.output().hasPrefix("\(image): ext2, 26214400 blocks of 4096 bytes in 800 groups, 6553600 inodes\n"))
    #expect(!command.hasImage)
  }

  @Test("reserves room for all bytes, or only for inode tables, when told")
  func room() throws {
    var taken: [UInt64] = []
    for arguments in [[], ["-E", "lazy_itable_init=0"], ["--preallocate"], ["--preallocate", "-F"]] {
      let command = try Command()
      let image = "\(command.folder)/image"
      if arguments.contains("-F") { try #require(Self.shell("head -c 64m /dev/zero > \(image)") == 0) }
      try command.start(["mkfs", "-q", image, "--size", "64m"] + arguments)
      #expect(try command.exitCode() == 0)
      taken.append(try TemporaryFile.allocatedBytes(image))
    }
    // 16,384 inodes of 256 bytes.
    #expect(taken[0] < 1 << 20 && taken[1] >= 4 << 20 && taken[1] < 6 << 20)
    #expect(taken[2] >= 64 << 20 && taken[3] >= 64 << 20)
  }

  @Test(
    "makes a volume on a block device, which it refuses while it is mounted, and beyond its end",
    .enabled(if: MkfsTests.isPrivileged, Comment(rawValue: MkfsTests.privilegeLack ?? "")))
  func blockDevice() throws {
    let command = try Command()
    let image = "\(command.folder)/image", link = "\(command.folder)/link", mount = "\(command.folder)/mount"
    // A device of blocks of 2 KiB: too large for what a volume of 8 MiB has otherwise.
    try #require(
      Self.shell("head -c 8m /dev/urandom > \(image) && ln -s $(losetup -b 2048 -f --show \(image)) \(link)") == 0)
    defer { _ = Self.shell("umount \(mount); rmdir \(mount); losetup -d $(readlink \(link)); rm \(link)") }
    try command.start(["mkfs", link, "--size", "9m"])
    #expect(try command.exitCode() == 2)
    #expect(command.errors.contains("--size: the device has only 8388608 bytes"))

    let again = try Command()
    try again.start(["mkfs", link, "-L", "fresh"])
    #expect(try again.exitCode() == 0)
    #expect(try again.output().contains("blocks of 2048 bytes"))
    #expect(ExternalTool("e2fsck")?.run(["-fn", link])?.exitCode == 0)
    try #require(Self.shell("mkdir \(mount) && mount -t ext2 $(readlink \(link)) \(mount)") == 0)
    for path in [link, image] {
      let refused = try Command()
      try refused.start(["mkfs", "-F", path])
      #expect(try refused.exitCode() == 1)
      #expect(refused.errors.contains("in use by the kernel"), "\(refused.errors)")
      #expect(refused.errors.contains("; unmount it"), "\(refused.errors)")
    }
    #expect(Self.shell("test -d \(mount)/lost+found && touch \(mount)/file") == 0)
  }

  @Test(
    "names the errno where room ends half-way, and takes the file away that it made",
    .enabled(if: MkfsTests.isPrivileged, Comment(rawValue: MkfsTests.privilegeLack ?? "")))
  func noSpace() throws {
    let command = try Command()
    let mount = "\(command.folder)/mount"
    try #require(Self.shell("mkdir \(mount) && mount -t tmpfs -o size=128k tmpfs \(mount)") == 0)
    defer { _ = Self.shell("umount \(mount); rmdir \(mount)") }
    try command.start(["mkfs", "\(mount)/image", "--size", "64m"])
    #expect(try command.exitCode() == 1)
    #expect(command.errors.contains("image: write of") && command.errors.contains("No space left on device"))
    #expect(Self.shell("test -e \(mount)/image") != 0)
  }

  @Test("ends with 130 on a signal, and takes the file away that it made")
  func stops() throws {
    let command = try Command()
    try command.start(
      ["mkfs", "\(command.folder)/image", "--size", "1t", "-E", "lazy_itable_init=0"], errors: .terminal(columns: 80))
    try command.wait(for: "of 8192 groups")
    command.signal(SIGINT)
    #expect(try command.exitCode() == 130)
    #expect(!command.hasImage)
  }
}
