// chmod, chown, chgrp, chattr, touch: what is known of files.
internal import Ext2
internal import Ext2Format
internal import HostTree
internal import Reactor

extension FSCommand {
  static let statuses: [FSCommand] = [
    FSCommand(
      name: "chmod", usage: "[-R] MODE PATH…",
      summary: "Change permissions: octal, or u+rwx,g=u,o-w (there is no umask).",
      options: [.flag("R", "recursive")], operandCount: 2...Int.max, access: .writing, isOperand: ModeChange.isChange,
      run: changeMode),
    FSCommand(
      name: "chown", usage: "[-hR] USER[:GROUP]|:GROUP PATH…",
      summary: "Change owner and group, by number; -h of a symbolic link itself.",
      options: [.flag("h", "no-dereference"), .flag("R", "recursive")], operandCount: 2...Int.max, access: .writing,
      run: changeOwner),
    FSCommand(
      name: "chgrp", usage: "[-hR] GROUP PATH…", summary: "Change the group, by number.",
      options: [.flag("h", "no-dereference"), .flag("R", "recursive")], operandCount: 2...Int.max, access: .writing,
      run: changeGroup),
    FSCommand(
      name: "chattr", usage: "[-R] +|-|=FLAGS PATH…", summary: "Change flags: \(FlagText.changeable).",
      options: [.flag("R")], operandCount: 2...Int.max, access: .writing, isOperand: { $0 != "-R" }, run: changeFlags),
    FSCommand(
      name: "touch", usage: "[-amch] [-d TIME|-t STAMP|-r PATH] PATH…",
      summary: "Set times, now or as told (ISO 8601 or @SECONDS, with nanoseconds); make what is missing, unless -c.",
      options: [
        .flag("a"), .flag("m"), .flag("c", "no-create"), .flag("h", "no-dereference"), .value("d", "date"), .value("t"),
        .value("r", "reference"),
      ], operandCount: 1...Int.max, access: .writing, run: touch),
  ]

  /// Changes files, and with `isRecursive` what is below them.
  private static func change(
    _ paths: ArraySlice<[UInt8]>, _ session: FSSession, isRecursive: Bool, followsLink: Bool,
    _ changes: (FileStatus) -> StatusChanges?
  ) async throws(FSError) {
    let volume = try await session.volume(for: .writing)
    func change(_ path: [UInt8], _ status: FileStatus, followsLink: Bool) async throws(FSError) {
      guard let changes = changes(status) else { return }
      try await at(path) { () async throws(Ext2Error) in
        try await volume.change(path, changes, followsLink: followsLink)
      }
    }
    try await session.forEach(Array(paths)) { path async throws(FSError) in
      guard isRecursive else {
        let status = try await at(path) { () async throws(Ext2Error) in
          try await volume.status(of: path, followsLink: followsLink)
        }
        return try await change(path, status, followsLink: followsLink)
      }
      try await session.walk(from: path) { visit, _ async throws(FSError) in
        switch visit {
        case .enter(let node), .file(let node): try await change(node.path, node.status, followsLink: false)
        case .leave: break
        }
      }
    }
  }

  private static func changeMode(_ session: FSSession, _ arguments: VerbArguments) async throws(FSError) {
    guard let mode = ModeChange(arguments.text(0)) else { throw .usage("\(arguments.text(0)): \(modeHint)") }
    try await change(
      arguments.operands.dropFirst(), session, isRecursive: arguments.has("R"), followsLink: true
    ) { status in
      // As chmod -R: a link has no permissions of its own.
      guard status.type != .symbolicLink else { return nil }
      return StatusChanges(
        permissions: mode.applied(to: status.permissions, isDirectory: status.type == .directory))
    }
  }

  private static func changeOwner(_ session: FSSession, _ arguments: VerbArguments) async throws(FSError) {
    let text = arguments.text(0)
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    let numbers = parts.map { UInt32($0) }
    guard parts.count <= 2, zip(parts, numbers).allSatisfy({ $0.isEmpty || $1 != nil }), text != ":", !text.isEmpty
    else {
      throw .usage("\(text): numbers are wanted: USER, USER:GROUP or :GROUP (an image knows no names)")
    }
    let changes = StatusChanges(user: numbers[0], group: numbers.count == 2 ? numbers[1] : nil)
    try await change(
      arguments.operands.dropFirst(), session, isRecursive: arguments.has("R"), followsLink: !arguments.has("h")
    ) { _ in changes }
  }

  private static func changeGroup(_ session: FSSession, _ arguments: VerbArguments) async throws(FSError) {
    let changes = StatusChanges(group: try arguments.number(0, "a group", as: UInt32.self))
    try await change(
      arguments.operands.dropFirst(), session, isRecursive: arguments.has("R"), followsLink: !arguments.has("h")
    ) { _ in changes }
  }

  private static func changeFlags(_ session: FSSession, _ arguments: VerbArguments) async throws(FSError) {
    let text = arguments.text(0)
    guard let operation = text.first, "+-=".contains(operation), let flags = FlagText.flags(text.dropFirst()) else {
      throw .usage("\(text): +, - or = and flags are wanted, from \(FlagText.changeable)")
    }
    try await change(
      arguments.operands.dropFirst(), session, isRecursive: arguments.has("R"), followsLink: true
    ) { status in
      switch operation {
      case "+": StatusChanges(flags: status.flags.union(flags))
      case "-": StatusChanges(flags: status.flags.subtracting(flags))
      default: StatusChanges(flags: flags)
      }
    }
  }

  private static func touch(_ session: FSSession, _ arguments: VerbArguments) async throws(FSError) {
    let now = session.reactor.calendarTime
    guard ["d", "t", "r"].count(where: arguments.has) <= 1 else { throw .usage("-d, -t and -r exclude each other") }
    var access = now, modification = now
    if let text = arguments.text("d") {
      guard let time = CalendarTime(text: text) else {
        throw .usage("-d \(text): a time is wanted, such as 2026-11-25T00:45:29.5Z or @1795567529.5")
      }
      (access, modification) = (time, time)
    } else if let text = arguments.text("t") {
      guard let time = CalendarTime(touchStamp: text, now: now) else {
        throw .usage("-t \(text): a time is wanted, as [[CC]YY]MMDDhhmm[.ss]")
      }
      (access, modification) = (time, time)
    } else if let path = arguments.bytes("r") {
      let volume = try await session.volume(for: .writing)
      let status = try await at(path) { () async throws(Ext2Error) in try await volume.status(of: path) }
      (access, modification) = (status.accessTime, status.modificationTime)
    }
    let volume = try await session.volume(for: .writing)
    let both = arguments.has("a") == arguments.has("m")
    let changes = StatusChanges(
      accessTime: both || arguments.has("a") ? access : nil,
      modificationTime: both || arguments.has("m") ? modification : nil)
    try await session.forEach(arguments.operands) { path async throws(FSError) in
      let followsLink = !arguments.has("h")
      do throws(Ext2Error) {
        return try await volume.change(path, changes, followsLink: followsLink)
      } catch {
        guard case .notFound = error else { throw .failed(TreeError(path, .volume(error))) }
      }
      if arguments.has("c") || !followsLink { return }
      try await at(path) { () async throws(Ext2Error) in
        let file = try await volume.open(path, .create, as: session.options.credentials)
        do throws(Ext2Error) { try await file.change(changes) } catch {
          await file.close()
          throw error
        }
        await file.close()
      }
    }
  }
}
