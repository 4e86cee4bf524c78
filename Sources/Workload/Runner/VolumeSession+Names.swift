// Files of a job that come and go.
//
// A copy has a place for each of its files, and only its own tasks work on them: so what the root directory has is known
// exactly. An operation that has begun on a file goes on when the file is unlinked or renamed meanwhile, as with any open
// file; the last one closes it, and with that its blocks are freed.
internal import Ext2
internal import Reactor
internal import SystemPackage

extension VolumeSession {
  /// The first of a copy's places, from one of them on, whose file is as wanted.
  func firstFile(of index: Int, from first: Int, where isWanted: (FileModel) -> Bool) -> Int? {
    let own = openings[index]
    return own.indices.map { (first + $0) % own.count }.first { isWanted(models[own[$0].model]) }
  }

  func beginUse(_ opening: Opening) { models[opening.model].userCount += 1 }

  func endUse(_ opening: Opening) async {
    let model = models[opening.model]
    model.userCount -= 1
    if model.userCount == 0 && !model.isPresent { await opening.file.close() }
  }

  /// The first place for a new name.
  private func freePlace(of index: Int, from first: Int = 0) -> Int? {
    firstFile(of: index, from: first) { !$0.isPresent && $0.userCount == 0 && !$0.changesName && $0.isNameCertain }
  }
  /// The first file whose name may change.
  private func namedPlace(of index: Int, from first: Int = 0) -> Int? {
    firstFile(of: index, from: first) { $0.isPresent && !$0.changesName && $0.isNameCertain }
  }

  /// Whether a copy has files for an operation now.
  func isPossible(_ operation: FileOperation, _ index: Int) -> Bool {
    switch operation {
    case .create: freePlace(of: index) != nil
    case .unlink: namedPlace(of: index) != nil
    case .rename: namedPlace(of: index) != nil && freePlace(of: index) != nil
    case .write, .append, .truncate, .read, .fsync: firstFile(of: index, from: 0, where: \.isPresent) != nil
    }
  }

  /// Whether a copy ends because none of its operations can be done, and nothing that goes on could change that. Who was
  /// to remove files until none is left has done its work; who has done nothing, or not as often as it was to, has not.
  func endsWithoutWork(_ mix: OperationMix, _ copy: JobCopy, _ index: Int) -> Bool {
    if copy.hasFailed { return true }
    let isQuiet = openings[index].allSatisfy { models[$0.model].userCount == 0 && !models[$0.model].changesName }
    guard isQuiet, !mix.weights.contains(where: { $0.weight > 0 && isPossible($0.operation, index) }) else {
      return false
    }
    let hasWorked = copy.recorder.records.present.contains { $0.value.count > 0 }
    if hasWorked && copy.job.schedule.operationCount == nil { return true }
    let isFull = namedPlace(of: index) != nil
    end(
      copy,
      Finding(
        .ioError, context: "fs_ops of \(copy.name)",
        found: isFull
          ? "nothing can be done: all of its files are there, and unlink is not among the operations"
          : "nothing can be done: none of its files is there, and create is not among the operations"),
      errorNumber: .noSuchFileOrDirectory)
    return true
  }

  /// Creates, unlinks or renames one of a copy's files. Returns whether there was one for it.
  func changeNames(
    _ operation: FileOperation, _ copy: JobCopy, _ index: Int, from first: Int, _ lateness: UInt64?
  ) async -> Bool {
    let start = reactor.now
    await spendProcessorTime()
    // Nothing is suspended from here until the name is marked as changing.
    let free = freePlace(of: index, from: first), there = namedPlace(of: index, from: first)
    var involved: [FileModel] = []
    do throws(Ext2Error) {
      switch operation {
      case .create:
        guard let free else { return false }
        involved = [models[openings[index][free].model]]
        involved[0].changesName = true
        try await create(index, free)
        record(.create, copy, since: start, lateness)
      case .unlink:
        guard let there else { return false }
        let opening = openings[index][there]
        involved = [models[opening.model]]
        involved[0].changesName = true
        beginUse(opening)
        // No operation begins on it from here on.
        involved[0].isPresent = false
        do throws(Ext2Error) { try await opening.file.volume.unlink(involved[0].name) } catch {
          await endUse(opening)
          throw error
        }
        record(.unlink, copy, since: start, lateness)
        await endUse(opening)
      case .rename:
        guard let there, let free else { return false }
        involved = [there, free].map { models[openings[index][$0].model] }
        for model in involved { model.changesName = true }
        try await openings[index][there].file.volume.rename(involved[0].name, to: involved[1].name)
        openings[index].swapAt(there, free)
        swap(&involved[0].name, &involved[1].name)
        record(.rename, copy, since: start, lateness)
      default: preconditionFailure("changes no name")
      }
    } catch {
      // It may be there or not.
      for model in involved { model.isNameCertain = false }
      copy.fail(errorNumber: error.errno.rawValue)
      note(error, context: "\(operation.rawValue) of \(copy.name)", file: involved.first?.name)
    }
    for model in involved { model.changesName = false }
    return true
  }

  /// Makes the file of a place that has none, with a number of its own in the contents.
  private func create(_ index: Int, _ place: Int) async throws(Ext2Error) {
    let old = openings[index][place], name = models[old.model].name
    let file = try await old.file.volume.open(name, create: true)
    let size = try await file.status().byteCount
    if size != 0 {
      add(
        Finding(
          .sizeMismatch, context: "create of \(copies[index].name)", file: name, expected: "0 bytes",
          found: "\(size) bytes"))
    }
    models[old.model] = FileModel(reactor, id: fileCount, name: name, unitSize: models[old.model].unitSize)
    fileCount &+= 1
    openings[index][place] = Opening(file: file, model: old.model)
  }

  // MARK: The names at the end

  /// Notes what the root directory has beside the files of the run.
  func noteForeignNames(_ volume: Volume) async throws(Ext2Error) {
    foreignNames = Set(try await volume.list("/")).subtracting(models.map(\.name))
  }

  /// Compares the names in the root directory with those that should be there.
  func compareNames(of volume: Volume, context: String) async {
    let uncertain = Set(models.filter { !$0.isNameCertain }.map(\.name))
    let expected = Set(models.filter(\.isPresent).map(\.name)).union(foreignNames).subtracting(uncertain)
    do throws(Ext2Error) {
      let found = Set(try await volume.list("/")).subtracting(uncertain)
      for name in expected.subtracting(found).sorted() { add(Finding(.fileMissing, context: context, file: name)) }
      for name in found.subtracting(expected).sorted() { add(Finding(.fileUnexpected, context: context, file: name)) }
    } catch { note(error, context: context, file: "/") }
  }
}
